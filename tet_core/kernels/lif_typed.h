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
    case TRIANGLE: return far < width ? (width - far) * ((ACC)1 / (width * width)) : (ACC)0;
    case RECTANGLE: return far < width ? (ACC)1 / (2 * width) : (ACC)0;
    case EXPONENTIAL: return NAME(exponential)(-far / width) / (2 * width);
    case ARCTAN: return (ACC)1 / ((ACC)3.14159265358979323846 * width * (1 + (x / width) * (x / width)));
    default: return width * sent * (1 - sent);
    }
}

/* What the neurons are fed with: [T, outer, channels, inner], each step dense. */
typedef struct {
    const STORED *data;
    int64_t step;                      /* elements from one step to the next; 0 where all of them are one */
    const ACC *weight, *bias;          /* of the norm, by channel; NULL: as it is */
    const ACC *mean, *var;             /* what the norm compares with */
    double eps;
} NAME(input);

static inline ACC NAME(inverse)(const NAME(input) *input, int64_t channel) {
    return (ACC)1 / SQRT(input->var[channel] + (ACC)input->eps);
}

/* What norms do to each input, by channel: scales, shifts and means, [3, num_inputs, channels]; to be freed. */
static ACC *NAME(affine)(const NAME(input) *inputs, int num_inputs, int64_t channels) {
    ACC *made = malloc((size_t)3 * num_inputs * channels * sizeof(ACC));
    ACC *scales = made, *shifts = scales + num_inputs * channels, *means = shifts + num_inputs * channels;
    for (int k = 0; k < num_inputs; k++) {
        if (inputs[k].weight == NULL) continue;
        for (int64_t c = 0; c < channels; c++) {
            const ACC scale = inputs[k].weight[c] * NAME(inverse)(inputs + k, c);
            scales[k * channels + c] = scale;
            shifts[k * channels + c] = inputs[k].bias[c] - inputs[k].mean[c] * scale;
            means[k * channels + c] = inputs[k].mean[c];
        }
    }
    return made;
}

/* From a number a channel to one for each element of a tile. */
static void NAME(spread)(const ACC *by_channel, ACC *by_element, geometry g, int64_t tile) {
    if (g.inner == 1)
        for (int64_t row = 0; row < tile_rows(g); row++)
            memcpy(by_element + row * g.channels, by_channel, g.channels * sizeof(ACC));
    else {
        const ACC value = by_channel[channel_of(g, tile)];
        for (int64_t i = 0; i < TILE; i++) by_element[i] = value;
    }
}

/* Add what was summed up for each element of a tile to the sums by channel. */
static void NAME(gather)(const double *by_element, double *by_channel, geometry g) {
    for (int64_t row = 0; row < tile_rows(g); row++)
        for (int64_t c = 0; c < g.channels; c++) by_channel[c] += by_element[row * g.channels + c];
}

static inline void NAME(fetch)(const STORED *x, int64_t length) {
    for (int64_t i = 0; i < length; i += 64 / sizeof(STORED)) __builtin_prefetch(x + i);
}

/* I(t) of a tile: the sum of its inputs, each scaled and shifted. */
static inline void NAME(current)(const NAME(input) *inputs, int num_inputs, const ACC *scales, const ACC *shifts,
                                 int64_t room, int64_t t, int64_t begin, int64_t length, ACC *restrict out) {
    for (int k = 0; k < num_inputs; k++) {
        const STORED *restrict x = inputs[k].data + t * inputs[k].step + begin;
        const ACC *restrict scale = scales + k * room, *restrict shift = shifts + k * room;
        if (inputs[k].weight == NULL && k == 0) for (int64_t i = 0; i < length; i++) out[i] = GET(x[i]);
        else if (inputs[k].weight == NULL) for (int64_t i = 0; i < length; i++) out[i] += GET(x[i]);
        else if (k == 0) for (int64_t i = 0; i < length; i++) out[i] = GET(x[i]) * scale[i] + shift[i];
        else for (int64_t i = 0; i < length; i++) out[i] += GET(x[i]) * scale[i] + shift[i];
    }
}

/* One step of a neuron: from I and v to u, which is returned, what is sent, and the next v. */
static inline ACC NAME(advance)(int surrogate, neuron p, ACC current, ACC *v, ACC *sent) {
    const ACC threshold = (ACC)p.threshold, u = current + (ACC)p.tau * *v;
    const ACC a = NAME(fired)(surrogate, (ACC)p.width, u - threshold);
    /* A spike at an infinite u leaves 0 too: inf * 0 would be not a number. */
    const ACC kept = u == (ACC)INFINITY ? (ACC)0 : u;
    *v = p.soft ? u - threshold * a : kept * (1 - a);
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
                              ACC *restrict grad_v, ACC *restrict grad_u, ACC *restrict sum, int64_t length) {
    const ACC width = (ACC)p.width, tau = (ACC)p.tau, threshold = (ACC)p.threshold;
    const ACC soft = (ACC)p.soft, attached = (ACC)!p.detached;
    for (int64_t i = 0; i < length; i++) {
        const ACC u = potentials[i], x = u - threshold;
        const ACC a = NAME(fired)(surrogate, width, x), s = NAME(derivative)(surrogate, width, x, a);
        /* At an infinite u the derivative s is 0, and so is its product with u. */
        const ACC finite = u == (ACC)INFINITY || u == -(ACC)INFINITY ? (ACC)0 : u;
        const ACC kept = soft ? (ACC)1 : 1 - a, reset_by = soft ? threshold : finite;
        const ACC d = GET(grad_spikes[i]) * s + grad_v[i] * (kept - attached * s * reset_by);
        grad_u[i] = d;
        grad_v[i] = tau * d;
        sum[i] += d;
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
    ACC *by_channel = NAME(affine)(inputs, num_inputs, g.channels);
#pragma omp parallel for schedule(static) if (is_large(g))
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        ACC *scales = malloc((size_t)(2 * num_inputs + 2) * room * sizeof(ACC));
        ACC *shifts = scales + num_inputs * room, *current = shifts + num_inputs * room, *v = current + room;
        for (int64_t tile = first_tile(chunk, chunks, tiles); tile < first_tile(chunk + 1, chunks, tiles); tile++) {
            const int64_t begin = tile_begin(g, tile), length = tile_length(g, tile);
            if (g.inner != 1 || tile == first_tile(chunk, chunks, tiles))
                for (int k = 0; k < 2 * num_inputs; k++)
                    if (inputs[k % num_inputs].weight != NULL)
                        NAME(spread)(by_channel + k * g.channels, scales + k * room, g, tile);
            memset(v, 0, length * sizeof(ACC));
            for (int64_t t = 0; t < g.steps; t++) {
                NAME(current)(inputs, num_inputs, scales, shifts, room, t, begin, length, current);
#define CALL(surrogate) NAME(step)(surrogate, p, current, v, spikes + t * size + begin, length)
                EACH_SURROGATE(CALL)
#undef CALL
            }
        }
        free(scales);
    }
    free(by_channel);
}

/* Gradients of the current, and sums for the norms in front.

   grad      [T, n], or [n] where `summed`: then it is the sum over time
   totals    [1 + num_inputs, channels]: of dL/dI, and of dL/dI * (x - mean) for each input that has a norm;
             NULL where no input has one
*/
void NAME(lif_backward)(const NAME(input) *inputs, int num_inputs, geometry g, neuron p, const STORED *grad_spikes,
                        int64_t grad_step, int summed, STORED *grad, double *totals) {
    const int64_t tiles = num_tiles(g), chunks = num_chunks(tiles), room = tile_room(g), size = step_size(g);
    const int rows = 1 + num_inputs;
    ACC *by_channel = NAME(affine)(inputs, num_inputs, g.channels);
    double *sums = totals == NULL ? NULL : calloc((size_t)chunks * rows * g.channels, sizeof(double));
#pragma omp parallel for schedule(static) if (is_large(g))
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        ACC *scales = malloc((size_t)(3 * num_inputs + 4 + rows + g.steps) * room * sizeof(ACC));
        ACC *shifts = scales + num_inputs * room, *means = shifts + num_inputs * room;
        ACC *current = means + num_inputs * room, *v = current + room, *grad_v = v + room, *grad_u = grad_v + room;
        ACC *partial = grad_u + room, *potentials = partial + rows * room;
        double *by_element = calloc((size_t)rows * room, sizeof(double)), *sum = sums + chunk * rows * g.channels;
        for (int64_t tile = first_tile(chunk, chunks, tiles); tile < first_tile(chunk + 1, chunks, tiles); tile++) {
            const int64_t begin = tile_begin(g, tile), length = tile_length(g, tile);
            if (g.inner != 1 || tile == first_tile(chunk, chunks, tiles))
                for (int k = 0; k < 3 * num_inputs; k++)
                    if (inputs[k % num_inputs].weight != NULL)
                        NAME(spread)(by_channel + k * g.channels, scales + k * room, g, tile);
            memset(v, 0, length * sizeof(ACC));
            for (int64_t t = 0; t < g.steps; t++) {
                /* What the next tile reads: between two of its steps lies too much for the processor to see it coming. */
                for (int k = 0; k < num_inputs; k++)
                    NAME(fetch)(inputs[k].data + t * inputs[k].step + begin + length, length);
                NAME(fetch)(grad_spikes + t * grad_step + begin + length, length);
                NAME(current)(inputs, num_inputs, scales, shifts, room, t, begin, length, current);
#define CALL(surrogate) NAME(replay)(surrogate, p, current, v, potentials + t * room, length)
                EACH_SURROGATE(CALL)
#undef CALL
            }
            memset(grad_v, 0, length * sizeof(ACC));
            memset(partial, 0, rows * room * sizeof(ACC));
            for (int64_t t = g.steps - 1; t >= 0; t--) {
                const STORED *g_t = grad_spikes + t * grad_step + begin;
#define CALL(surrogate) NAME(back)(surrogate, p, potentials + t * room, g_t, grad_v, grad_u, partial, length)
                EACH_SURROGATE(CALL)
#undef CALL
                if (!summed)
                    for (int64_t i = 0; i < length; i++) grad[t * size + begin + i] = PUT(grad_u[i]);
                for (int k = 0; k < num_inputs; k++) {
                    if (inputs[k].weight == NULL) continue;
                    const STORED *restrict x = inputs[k].data + t * inputs[k].step + begin;
                    const ACC *restrict mean = means + k * room;
                    ACC *restrict part = partial + (1 + k) * room;
                    for (int64_t i = 0; i < length; i++) part[i] += grad_u[i] * (GET(x[i]) - mean[i]);
                }
            }
            if (summed)
                for (int64_t i = 0; i < length; i++) grad[begin + i] = PUT(partial[i]);
            for (int row = 0; row < rows && sums != NULL; row++) {
                const ACC *part = partial + row * room;
                if (g.inner == 1) {
                    for (int64_t i = 0; i < length; i++) by_element[row * room + i] += part[i];
                } else {
                    double tile_sum = 0;
                    for (int64_t i = 0; i < length; i++) tile_sum += part[i];
                    sum[row * g.channels + channel_of(g, tile)] += tile_sum;
                }
            }
        }
        for (int row = 0; row < rows && sums != NULL && g.inner == 1; row++)
            NAME(gather)(by_element + row * room, sum + row * g.channels, g);
        free(by_element);
        free(scales);
    }
    if (totals != NULL) add_up(sums, chunks, rows * g.channels, totals);
    free(sums);
    free(by_channel);
}

/* Mean and biased variance by channel, each [channels], of [T, outer, channels, inner]. */
void NAME(moments)(const STORED *data, int64_t step, geometry g, ACC *mean, ACC *var) {
    const int64_t tiles = num_tiles(g), chunks = num_chunks(tiles), room = tile_room(g);
    const double n = (double)(g.steps * g.outer * g.inner);
    /* Sums of what is near 0 lose least: the distance from the first number of the channel. */
    ACC *base = malloc(g.channels * sizeof(ACC));
    for (int64_t c = 0; c < g.channels; c++) base[c] = n > 0 ? GET(data[c * g.inner]) : 0;
    double *sums = calloc((size_t)(chunks + 1) * 2 * g.channels, sizeof(double));
#pragma omp parallel for schedule(static) if (is_large(g))
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        ACC *bases = malloc((size_t)room * sizeof(ACC));
        double *far = calloc((size_t)2 * room, sizeof(double)), *squares = far + room;
        double *sum = sums + (chunk + 1) * 2 * g.channels;
        for (int64_t tile = first_tile(chunk, chunks, tiles); tile < first_tile(chunk + 1, chunks, tiles); tile++) {
            const int64_t begin = tile_begin(g, tile), length = tile_length(g, tile);
            if (g.inner != 1 || tile == first_tile(chunk, chunks, tiles)) NAME(spread)(base, bases, g, tile);
            for (int64_t t = 0; t < g.steps; t++) {
                const STORED *restrict x = data + t * step + begin;
                for (int64_t i = 0; i < length; i++) {
                    const double distance = (double)(GET(x[i]) - bases[i]);
                    far[i] += distance;
                    squares[i] += distance * distance;
                }
            }
            if (g.inner == 1) continue;
            for (int64_t i = 0; i < length; i++) {
                sum[channel_of(g, tile)] += far[i];
                sum[g.channels + channel_of(g, tile)] += squares[i];
            }
            memset(far, 0, 2 * room * sizeof(double));
        }
        if (g.inner == 1) {
            NAME(gather)(far, sum, g);
            NAME(gather)(squares, sum + g.channels, g);
        }
        free(far);
        free(bases);
    }
    add_up(sums + 2 * g.channels, chunks, 2 * g.channels, sums);
    for (int64_t c = 0; c < g.channels; c++) {
        const double distance = sums[c] / n, spread = sums[g.channels + c] / n - distance * distance;
        mean[c] = (ACC)(base[c] + distance);
        var[c] = (ACC)(spread > 0 ? spread : spread != spread ? spread : 0);
    }
    free(sums);
    free(base);
}

/* Through a norm: dL/dx = a * (d - mean(d) - xhat * mean(d * xhat)), with d = dL/dI and a = weight / deviation.

   total, total_x      by channel: the sum of d over all steps, and of d * (x - mean)
   out                 dL/dx, may be `d`; NULL where nobody asks. Of an input whose steps are one, d is their sum,
                       and n counts one of them: then the same holds
   of_weight, of_bias  by channel
*/
void NAME(norm_backward)(const NAME(input) *input, geometry g, const STORED *d, const double *total,
                         const double *total_x, STORED *out, ACC *of_weight, ACC *of_bias) {
    const int64_t tiles = num_tiles(g), chunks = num_chunks(tiles), room = tile_room(g), size = step_size(g);
    const double n = (double)(g.steps * g.outer * g.inner);
    ACC *a = malloc((size_t)3 * g.channels * sizeof(ACC)), *b = a + g.channels, *c = b + g.channels;
    for (int64_t i = 0; i < g.channels; i++) {
        const double inverse = NAME(inverse)(input, i), scale = input->weight[i] * inverse;
        const double of_x = -scale * inverse * inverse * total_x[i] / n;
        a[i] = (ACC)scale;
        b[i] = (ACC)of_x;
        c[i] = (ACC)(-scale * total[i] / n - of_x * input->mean[i]);
        of_weight[i] = (ACC)(total_x[i] * inverse);
        of_bias[i] = (ACC)total[i];
    }
#pragma omp parallel for schedule(static) if (is_large(g))
    for (int64_t chunk = 0; chunk < (out == NULL ? 0 : chunks); chunk++) {
        ACC *as = malloc((size_t)3 * room * sizeof(ACC)), *bs = as + room, *cs = bs + room;
        for (int64_t tile = first_tile(chunk, chunks, tiles); tile < first_tile(chunk + 1, chunks, tiles); tile++) {
            const int64_t begin = tile_begin(g, tile), length = tile_length(g, tile);
            if (g.inner != 1 || tile == first_tile(chunk, chunks, tiles)) {
                NAME(spread)(a, as, g, tile);
                NAME(spread)(b, bs, g, tile);
                NAME(spread)(c, cs, g, tile);
            }
            for (int64_t t = 0; t < g.steps; t++) {
                const STORED *x = input->data + t * input->step + begin, *from = d + t * size + begin;
                STORED *to = out + t * size + begin;
#pragma omp simd
                for (int64_t i = 0; i < length; i++) to[i] = PUT(as[i] * GET(from[i]) + bs[i] * GET(x[i]) + cs[i]);
            }
        }
        free(as);
    }
    free(a);
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
