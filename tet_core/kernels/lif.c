/* Leaky integrate-and-fire neurons over a whole sequence, with the batch normalisation in front of them.

   One pass over memory each way: what a tile of neurons needs over all steps stays in the processor's cache. For the
   backward pass nothing is kept but the input; potentials and spikes are computed again.

   Work is cut into chunks whose number does not depend on the threads, and sums are added up in their order, so the
   bits are the same for any number of threads.

   Equations: step.py. Source: Deng et al., ICLR 2022, Eq. 1-3 and 5.
*/

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TRIANGLE, RECTANGLE, EXPONENTIAL, ARCTAN, SIGMOID_FORWARD };

typedef struct {
    int32_t surrogate, soft, detached, padding;
    double width, tau, threshold;
} neuron;

/* Elements of a step are [outer, channels, inner]: channels-last has inner = 1. */
typedef struct {
    int64_t steps, outer, channels, inner;
} geometry;

/* From LARGE numbers on it is worth the threads. */
enum { TILE = 256, CHUNKS = 32, CHUNK_TILES = 4, LARGE = 1 << 15 };

static inline int64_t step_size(geometry g) { return g.outer * g.channels * g.inner; }
static inline int64_t tile_rows(geometry g) { return g.channels < TILE ? TILE / g.channels : 1; }
static inline int64_t tile_pieces(geometry g) { return (g.inner + TILE - 1) / TILE; }
static inline int64_t tile_room(geometry g) { return g.inner == 1 ? tile_rows(g) * g.channels : TILE; }
static inline int64_t num_tiles(geometry g) {
    return g.inner == 1 ? (g.outer + tile_rows(g) - 1) / tile_rows(g) : g.outer * g.channels * tile_pieces(g);
}
static inline int64_t tile_begin(geometry g, int64_t tile) {
    if (g.inner == 1) return tile * tile_room(g);
    return tile / tile_pieces(g) * g.inner + tile % tile_pieces(g) * TILE;
}
static inline int64_t tile_length(geometry g, int64_t tile) {
    const int64_t end = g.inner == 1 ? step_size(g) : (tile / tile_pieces(g) + 1) * g.inner;
    const int64_t left = end - tile_begin(g, tile);
    return left < tile_room(g) ? left : tile_room(g);
}
static inline int64_t channel_of(geometry g, int64_t tile) { return tile / tile_pieces(g) % g.channels; }
static inline int64_t num_chunks(int64_t tiles) {
    const int64_t wanted = (tiles + CHUNK_TILES - 1) / CHUNK_TILES;
    return wanted < CHUNKS ? wanted : CHUNKS;
}
static inline int64_t first_tile(int64_t chunk, int64_t chunks, int64_t tiles) { return tiles * chunk / chunks; }

static inline int is_large(geometry g) { return g.steps * step_size(g) > LARGE; }

/* The sums of the columns of [rows, columns]. */
static void add_up(const double *table, int64_t rows, int64_t columns, double *sums) {
    memset(sums, 0, columns * sizeof(double));
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < columns; i++) sums[i] += table[row * columns + i];
}

#define STORED float
#define ACC float
#define INTEGER int32_t
#define EXPONENT_BIAS 127
#define EXPONENT_SHIFT 23
#define GET(x) (x)
#define PUT(x) (x)
#define SQRT(x) sqrtf(x)
#define NAME(f) f##_float32
#include "lif_typed.h"
#undef STORED
#undef NAME
#undef GET
#undef PUT

/* bfloat16 is the upper half of a float; to it by rounding to the nearest, to even where two are as near. */
static inline float from_bfloat16(uint16_t x) {
    union { uint32_t bits; float value; } u = {.bits = (uint32_t)x << 16};
    return u.value;
}
static inline uint16_t to_bfloat16(float x) {
    union { float value; uint32_t bits; } u = {.value = x};
    const uint32_t rounded = (u.bits + 0x7fff + ((u.bits >> 16) & 1)) >> 16;
    return x != x ? 0x7fc0 : (uint16_t)rounded;
}
#define STORED uint16_t
#define GET(x) from_bfloat16(x)
#define PUT(x) to_bfloat16(x)
#define NAME(f) f##_bfloat16
#include "lif_typed.h"
#undef STORED
#undef ACC
#undef INTEGER
#undef EXPONENT_BIAS
#undef EXPONENT_SHIFT
#undef NAME
#undef GET
#undef PUT
#undef SQRT

#define STORED double
#define ACC double
#define INTEGER int64_t
#define EXPONENT_BIAS 1023
#define EXPONENT_SHIFT 52
#define GET(x) (x)
#define PUT(x) (x)
#define SQRT(x) sqrt(x)
#define NAME(f) f##_float64
#include "lif_typed.h"
