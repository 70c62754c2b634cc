/* The kernels for one type of storage; see lif.c, which includes this once for each.

   STORED   type in memory        ACC   type of computing
   NAME(f)  the function's name   GET(x), PUT(x)  from and to memory
*/

/* exp(x) by 2^n * exp(r), r within half a log 2; by hand, since a call would keep the loop from being vectorised. */
static inline ACC NAME(exponential)(ACC x) {
    const ACC least = sizeof(ACC) == 4 ? (ACC)-87.0 : (ACC)-708.0, most = -least;
    x = x < least ? least : x;
    x = x > most ? most : x;
    const ACC n = (ACC)(INTEGER)(x * (ACC)1.44269504088896340736 + (x < 0 ? (ACC)-0.5 : (ACC)0.5));
    const ACC r = (x - n * (ACC)0.693145751953125) - n * (ACC)1.42860682030941723212e-6;
    ACC p = (ACC)1;
    for (int k = sizeof(ACC) == 4 ? 7 : 13; k > 0; k--) p = (ACC)1 + p * r / (ACC)k;
    union { INTEGER bits; ACC value; } power;
    power.bits = ((INTEGER)n + EXPONENT_BIAS) << EXPONENT_SHIFT;
    return p * power.value;
}

/* What a neuron sends at x = u - threshold. */
static inline ACC NAME(fired)(int surrogate, ACC width, ACC x) {
    if (surrogate == SIGMOID_FORWARD) return (ACC)1 / ((ACC)1 + NAME(exponential)(-width * x));
    return x > 0 ? (ACC)1 : (ACC)0;
}

/* Stand-in for da/du at x = u - threshold; `sent` is what was sent there. */
static inline ACC NAME(derivative)(int surrogate, ACC width, ACC x, ACC sent) {
    const ACC far = x < 0 ? -x : x;
    switch (surrogate) {
    case TRIANGLE: return far < width ? (width - far) / (width * width) : (ACC)0;
    case RECTANGLE: return far < width ? (ACC)1 / (2 * width) : (ACC)0;
    case EXPONENTIAL: return NAME(exponential)(-far / width) / (2 * width);
    case ARCTAN: return (ACC)1 / ((ACC)3.14159265358979323846 * width * (1 + (x / width) * (x / width)));
    default: return width * sent * (1 - sent);
    }
}

/* What the neurons are fed with: [T, outer, channels, inner], each step dense. */
typedef struct {
    const STORED *data;
    int64_t step;              /* elements from one step to the next; 0 where all of them are one */
    const ACC *scale, *shift;  /* by channel; NULL: as it is */
    const ACC *mean;           /* by channel: what the input is compared with in the backward sums */
} NAME(input);

/* Scale and shift of each element of a tile, of each input; written anew for a tile of one channel. */
static void NAME(spread)(const ACC *by_channel, ACC *by_element, geometry g, int64_t tile, int64_t length) {
    if (by_channel == NULL) return;
    if (g.inner == 1)
        for (int64_t i = 0; i < length; i++) by_element[i] = by_channel[i % g.channels];
    else
        for (int64_t i = 0; i < length; i++) by_element[i] = by_channel[channel_of(g, tile)];
}

/* I(t) of a tile: the sum of its inputs, each scaled and shifted. */
static inline void NAME(current)(const NAME(input) *inputs, int num_inputs, const ACC *scales, const ACC *shifts,
                                 int64_t room, int64_t t, int64_t begin, int64_t length, ACC *restrict out) {
    for (int k = 0; k < num_inputs; k++) {
        const STORED *restrict x = inputs[k].data + t * inputs[k].step + begin;
        const ACC *restrict scale = scales + k * room, *restrict shift = shifts + k * room;
        if (inputs[k].scale == NULL && k == 0) for (int64_t i = 0; i < length; i++) out[i] = GET(x[i]);
        else if (inputs[k].scale == NULL) for (int64_t i = 0; i < length; i++) out[i] += GET(x[i]);
        else if (k == 0) for (int64_t i = 0; i < length; i++) out[i] = GET(x[i]) * scale[i] + shift[i];
        else for (int64_t i = 0; i < length; i++) out[i] += GET(x[i]) * scale[i] + shift[i];
    }
}

/* One step of a neuron: from I and v to u, which is returned, what is sent, and the next v. */
static inline ACC NAME(advance)(int surrogate, neuron p, ACC current, ACC *v, ACC *sent) {
    const ACC threshold = (ACC)p.threshold, u = current + (ACC)p.tau * *v;
    const ACC a = NAME(fired)(surrogate, (ACC)p.width, u - threshold);
    *v = p.soft ? u - threshold * a : u * (1 - a);
    *sent = a;
    return u;
}

/* One step of a tile: from I and v to the spikes and the next v. */
static inline void NAME(step)(int surrogate, neuron p, const ACC *restrict current, ACC *restrict v,
                              STORED *restrict spikes, int64_t length) {
    for (int64_t i = 0; i < length; i++) {
        ACC sent;
        NAME(advance)(surrogate, p, current[i], v + i, &sent);
        spikes[i] = PUT(sent);
    }
}

/* The same for the backward pass: u is kept in place of the spikes. */
static inline void NAME(replay)(int surrogate, neuron p, const ACC *restrict current, ACC *restrict v,
                                ACC *restrict potentials, int64_t length) {
    for (int64_t i = 0; i < length; i++) {
        ACC sent;
        potentials[i] = NAME(advance)(surrogate, p, current[i], v + i, &sent);
    }
}

/* One step back: from dL/da(t) and dL/dv(t) to dL/du(t), which is dL/dI(t), and dL/dv(t-1). */
static inline void NAME(back)(int surrogate, neuron p, const ACC *restrict potentials, const STORED *restrict grad_spikes,
                              ACC *restrict grad_v, ACC *restrict grad_u, int64_t length) {
    const ACC width = (ACC)p.width, tau = (ACC)p.tau, threshold = (ACC)p.threshold;
    const ACC soft = (ACC)p.soft, attached = (ACC)!p.detached;
    for (int64_t i = 0; i < length; i++) {
        const ACC u = potentials[i], x = u - threshold;
        const ACC a = NAME(fired)(surrogate, width, x), s = NAME(derivative)(surrogate, width, x, a);
        const ACC kept = soft ? (ACC)1 : 1 - a, reset_by = soft ? threshold : u;
        grad_u[i] = GET(grad_spikes[i]) * s + grad_v[i] * (kept - attached * s * reset_by);
        grad_v[i] = tau * grad_u[i];
    }
}

#define EACH_SURROGATE(call) \
    switch (p.surrogate) { \
    case TRIANGLE: call(TRIANGLE); break; \
    case RECTANGLE: call(RECTANGLE); break; \
    case EXPONENTIAL: call(EXPONENTIAL); break; \
    case ARCTAN: call(ARCTAN); break; \
    default: call(SIGMOID_FORWARD); \
    }

void NAME(lif_forward)(const NAME(input) *inputs, int num_inputs, geometry g, neuron p, STORED *spikes) {
    const int64_t tiles = num_tiles(g), chunks = num_chunks(tiles), room = tile_room(g), size = step_size(g);
#pragma omp parallel for schedule(static) if (is_large(g))
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        ACC *memory = malloc((size_t)(2 * num_inputs + 2) * room * sizeof(ACC));
        ACC *scales = memory, *shifts = scales + num_inputs * room, *current = shifts + num_inputs * room;
        ACC *v = current + room;
        for (int64_t tile = first_tile(chunk, chunks, tiles); tile < first_tile(chunk + 1, chunks, tiles); tile++) {
            const int64_t begin = tile_begin(g, tile), length = tile_length(g, tile);
            if (g.inner != 1 || tile == first_tile(chunk, chunks, tiles))
                for (int k = 0; k < num_inputs; k++) {
                    NAME(spread)(inputs[k].scale, scales + k * room, g, tile, g.inner == 1 ? room : length);
                    NAME(spread)(inputs[k].shift, shifts + k * room, g, tile, g.inner == 1 ? room : length);
                }
            memset(v, 0, length * sizeof(ACC));
            for (int64_t t = 0; t < g.steps; t++) {
                NAME(current)(inputs, num_inputs, scales, shifts, room, t, begin, length, current);
#define CALL(surrogate) NAME(step)(surrogate, p, current, v, spikes + t * size + begin, length)
                EACH_SURROGATE(CALL)
#undef CALL
            }
        }
        free(memory);
    }
}

/* Gradients of the current, and sums for the norms in front.

   grad      [T, n], or [n] where `summed`: then it is the sum over time
   sums      [chunks, 1 + num_inputs, channels]: of dL/dI, and of dL/dI * (x - mean) for each input that has a mean;
             NULL where no input has one
*/
void NAME(lif_backward)(const NAME(input) *inputs, int num_inputs, geometry g, neuron p, const STORED *grad_spikes,
                        int64_t grad_step, int summed, STORED *grad, double *sums) {
    const int64_t tiles = num_tiles(g), chunks = num_chunks(tiles), room = tile_room(g), size = step_size(g);
    const int rows = 1 + num_inputs;
#pragma omp parallel for schedule(static) if (is_large(g))
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        ACC *memory = malloc((size_t)(3 * num_inputs + 5 + rows + g.steps) * room * sizeof(ACC));
        double *totals = calloc((size_t)rows * room, sizeof(double));
        ACC *scales = memory, *shifts = scales + num_inputs * room, *means = shifts + num_inputs * room;
        ACC *current = means + num_inputs * room, *v = current + room, *grad_v = v + room, *grad_u = grad_v + room;
        ACC *over_time = grad_u + room, *partial = over_time + room, *potentials = partial + rows * room;
        for (int64_t tile = first_tile(chunk, chunks, tiles); tile < first_tile(chunk + 1, chunks, tiles); tile++) {
            const int64_t begin = tile_begin(g, tile), length = tile_length(g, tile);
            if (g.inner != 1 || tile == first_tile(chunk, chunks, tiles))
                for (int k = 0; k < num_inputs; k++) {
                    const int64_t whole = g.inner == 1 ? room : length;
                    NAME(spread)(inputs[k].scale, scales + k * room, g, tile, whole);
                    NAME(spread)(inputs[k].shift, shifts + k * room, g, tile, whole);
                    NAME(spread)(inputs[k].mean, means + k * room, g, tile, whole);
                }
            memset(v, 0, length * sizeof(ACC));
            for (int64_t t = 0; t < g.steps; t++) {
                NAME(current)(inputs, num_inputs, scales, shifts, room, t, begin, length, current);
#define CALL(surrogate) NAME(replay)(surrogate, p, current, v, potentials + t * room, length)
                EACH_SURROGATE(CALL)
#undef CALL
            }
            memset(grad_v, 0, length * sizeof(ACC));
            memset(over_time, 0, length * sizeof(ACC));
            memset(partial, 0, rows * room * sizeof(ACC));
            for (int64_t t = g.steps - 1; t >= 0; t--) {
                const STORED *g_t = grad_spikes + t * grad_step + begin;
#define CALL(surrogate) NAME(back)(surrogate, p, potentials + t * room, g_t, grad_v, grad_u, length)
                EACH_SURROGATE(CALL)
#undef CALL
                if (summed)
                    for (int64_t i = 0; i < length; i++) over_time[i] += grad_u[i];
                else
                    for (int64_t i = 0; i < length; i++) grad[t * size + begin + i] = PUT(grad_u[i]);
                if (sums == NULL) continue;
                for (int64_t i = 0; i < length; i++) partial[i] += grad_u[i];
                for (int k = 0; k < num_inputs; k++) {
                    if (inputs[k].mean == NULL) continue;
                    const STORED *restrict x = inputs[k].data + t * inputs[k].step + begin;
                    const ACC *restrict mean = means + k * room;
                    ACC *restrict sum = partial + (1 + k) * room;
                    for (int64_t i = 0; i < length; i++) sum[i] += grad_u[i] * (GET(x[i]) - mean[i]);
                }
            }
            if (summed)
                for (int64_t i = 0; i < length; i++) grad[begin + i] = PUT(over_time[i]);
            if (sums == NULL) continue;
            for (int row = 0; row < rows; row++) {
                const ACC *part = partial + row * room;
                if (g.inner == 1) {
                    for (int64_t i = 0; i < length; i++) totals[row * room + i] += part[i];
                } else {
                    double sum = 0;
                    for (int64_t i = 0; i < length; i++) sum += part[i];
                    sums[(chunk * rows + row) * g.channels + channel_of(g, tile)] += sum;
                }
            }
        }
        if (sums != NULL && g.inner == 1)
            for (int row = 0; row < rows; row++)
                for (int64_t i = 0; i < room; i++)
                    sums[(chunk * rows + row) * g.channels + i % g.channels] += totals[row * room + i];
        free(totals);
        free(memory);
    }
}

/* Sums of x - base and of its square, by channel: [chunks, 2, channels], zero before. */
void NAME(moments)(const STORED *data, int64_t step, geometry g, const ACC *base, double *sums) {
    const int64_t tiles = num_tiles(g), chunks = num_chunks(tiles), room = tile_room(g);
#pragma omp parallel for schedule(static) if (is_large(g))
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        ACC *bases = malloc((size_t)room * sizeof(ACC));
        double *totals = calloc((size_t)2 * room, sizeof(double)), *squares = totals + room;
        for (int64_t tile = first_tile(chunk, chunks, tiles); tile < first_tile(chunk + 1, chunks, tiles); tile++) {
            const int64_t begin = tile_begin(g, tile), length = tile_length(g, tile);
            if (g.inner != 1 || tile == first_tile(chunk, chunks, tiles))
                NAME(spread)(base, bases, g, tile, g.inner == 1 ? room : length);
            for (int64_t t = 0; t < g.steps; t++) {
                const STORED *restrict x = data + t * step + begin;
                for (int64_t i = 0; i < length; i++) {
                    const double far = (double)(GET(x[i]) - bases[i]);
                    totals[i] += far;
                    squares[i] += far * far;
                }
            }
            if (g.inner == 1) continue;
            double sum = 0, square = 0;
            for (int64_t i = 0; i < length; i++) sum += totals[i], square += squares[i];
            sums[chunk * 2 * g.channels + channel_of(g, tile)] += sum;
            sums[(chunk * 2 + 1) * g.channels + channel_of(g, tile)] += square;
            memset(totals, 0, 2 * room * sizeof(double));
        }
        if (g.inner == 1)
            for (int64_t i = 0; i < room; i++) {
                sums[chunk * 2 * g.channels + i % g.channels] += totals[i];
                sums[(chunk * 2 + 1) * g.channels + i % g.channels] += squares[i];
            }
        free(totals);
        free(bases);
    }
}

/* out = a * d + b * x + c, with a, b and c by channel: the norm's input gradient; `out` may be `d`. */
void NAME(norm_backward)(const STORED *x_data, int64_t step, geometry g, const STORED *d, const ACC *a, const ACC *b,
                         const ACC *c, STORED *out) {
    const int64_t tiles = num_tiles(g), chunks = num_chunks(tiles), room = tile_room(g), size = step_size(g);
#pragma omp parallel for schedule(static) if (is_large(g))
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        ACC *as = malloc((size_t)3 * room * sizeof(ACC)), *bs = as + room, *cs = bs + room;
        for (int64_t tile = first_tile(chunk, chunks, tiles); tile < first_tile(chunk + 1, chunks, tiles); tile++) {
            const int64_t begin = tile_begin(g, tile), length = tile_length(g, tile);
            if (g.inner != 1 || tile == first_tile(chunk, chunks, tiles)) {
                NAME(spread)(a, as, g, tile, g.inner == 1 ? room : length);
                NAME(spread)(b, bs, g, tile, g.inner == 1 ? room : length);
                NAME(spread)(c, cs, g, tile, g.inner == 1 ? room : length);
            }
            for (int64_t t = 0; t < g.steps; t++) {
                const STORED *x = x_data + t * step + begin, *from = d + t * size + begin;
                STORED *to = out + t * size + begin;
#pragma omp simd
                for (int64_t i = 0; i < length; i++) to[i] = PUT(as[i] * GET(from[i]) + bs[i] * GET(x[i]) + cs[i]);
            }
        }
        free(as);
    }
}
#undef EACH_SURROGATE

/* Spikes as bits: bit i % 8 of byte i / 8 says whether x[i] is not 0. */
void NAME(pack)(const STORED *restrict x, int64_t size, uint8_t *restrict bits) {
    const int64_t bytes = size / 8;
#pragma omp parallel for schedule(static) if (size > LARGE)
    for (int64_t byte = 0; byte < bytes; byte++) {
        unsigned packed = 0;
        for (int i = 0; i < 8; i++) packed |= (unsigned)(GET(x[8 * byte + i]) != 0) << i;
        bits[byte] = (uint8_t)packed;
    }
    if (size % 8) bits[bytes] = 0;
    for (int64_t i = 8 * bytes; i < size; i++) bits[bytes] |= (uint8_t)((GET(x[i]) != 0) << i % 8);
}

void NAME(unpack)(const uint8_t *restrict bits, int64_t size, STORED *restrict x) {
    const int64_t bytes = size / 8;
#pragma omp parallel for schedule(static) if (size > LARGE)
    for (int64_t byte = 0; byte < bytes; byte++)
        for (int i = 0; i < 8; i++) x[8 * byte + i] = PUT((ACC)(bits[byte] >> i & 1));
    for (int64_t i = 8 * bytes; i < size; i++) x[i] = PUT((ACC)(bits[bytes] >> i % 8 & 1));
}
