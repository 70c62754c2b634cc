"""The Triton kernels; `tet_core.kernels.gpu` documents and launches them.

Each program runs a block of neurons over all steps. For the backward pass a program first runs its neurons forwards
again, and writes the potentials to a scratch tensor that no other program reads. Sums by channel are added chunk by
chunk in a fixed order, without atomics, so two runs give the same bits.

Arguments in capitals are known when a kernel is compiled. The constants of the neurons are among them, because Triton
would pass them as float32, whatever type the kernel computes in.
"""

import triton
import triton.language as tl

TRIANGLE, RECTANGLE, EXPONENTIAL, ARCTAN, SIGMOID_FORWARD = (tl.constexpr(kind) for kind in range(5))
_PI = tl.constexpr(3.14159265358979323846)


@triton.jit
def _affine(scale, shift, channel, inside, NORMED: tl.constexpr, COMPUTING: tl.constexpr):
    """Return scale and shift of each neuron of a block; 1 and 0 without a norm."""
    if NORMED:
        return tl.load(scale + channel, mask=inside, other=1.0), tl.load(shift + channel, mask=inside, other=0.0)
    else:
        return tl.full(channel.shape, 1.0, COMPUTING), tl.full(channel.shape, 0.0, COMPUTING)


@triton.jit
def _fired(x, KIND: tl.constexpr, WIDTH: tl.constexpr, COMPUTING: tl.constexpr):
    """Return a neuron's output at x = u - threshold."""
    if KIND == SIGMOID_FORWARD:
        return 1.0 / (1.0 + tl.exp(-WIDTH * x))
    else:
        return (x > 0).to(COMPUTING)


@triton.jit
def _derivative(x, sent, KIND: tl.constexpr, WIDTH: tl.constexpr, COMPUTING: tl.constexpr):
    """Return the replacement of da/du at x = u - threshold; `sent` is the neuron's output."""
    far = tl.abs(x)
    if KIND == TRIANGLE:
        return tl.where(far < WIDTH, (WIDTH - far) / (WIDTH * WIDTH), 0.0)
    elif KIND == RECTANGLE:
        return tl.where(far < WIDTH, tl.full(x.shape, 1.0 / (2.0 * WIDTH), COMPUTING), 0.0)
    elif KIND == EXPONENTIAL:
        return tl.exp(-far / WIDTH) / (2.0 * WIDTH)
    elif KIND == ARCTAN:
        return 1.0 / (_PI * WIDTH * (1.0 + (x / WIDTH) * (x / WIDTH)))
    else:
        return WIDTH * sent * (1.0 - sent)


@triton.jit
def _advance(
    x_0,
    scale_0,
    shift_0,
    x_1,
    scale_1,
    shift_1,
    inside,
    v,
    TWO: tl.constexpr,
    NORMED_0: tl.constexpr,
    NORMED_1: tl.constexpr,
    KIND: tl.constexpr,
    WIDTH: tl.constexpr,
    TAU: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SOFT: tl.constexpr,
    COMPUTING: tl.constexpr,
):
    """Run one step of a block with its inputs at x_0 and x_1; return u, the output, and the next v."""
    current = tl.load(x_0, mask=inside, other=0.0).to(COMPUTING)
    if NORMED_0:
        current = current * scale_0 + shift_0
    if TWO:
        other = tl.load(x_1, mask=inside, other=0.0).to(COMPUTING)
        if NORMED_1:
            other = other * scale_1 + shift_1
        current += other
    u = current + TAU * v
    a = _fired(u - THRESHOLD, KIND, WIDTH, COMPUTING)
    if SOFT:
        return u, a, u - THRESHOLD * a
    else:
        # A spike at an infinite u leaves 0 too: inf * 0 would be not a number.
        return u, a, tl.where(u == float("inf"), 0.0, u) * (1.0 - a)


@triton.jit
def lif_forward(
    x_0,
    step_0,
    scale_0,
    shift_0,
    x_1,
    step_1,
    scale_1,
    shift_1,
    channels,
    inner,
    spikes,
    size,
    STEPS: tl.constexpr,
    TWO: tl.constexpr,
    NORMED_0: tl.constexpr,
    NORMED_1: tl.constexpr,
    KIND: tl.constexpr,
    WIDTH: tl.constexpr,
    TAU: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SOFT: tl.constexpr,
    COMPUTING: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the spikes of a block over all steps."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside, channel = index < size, index // inner % channels
    a_0, b_0 = _affine(scale_0, shift_0, channel, inside, NORMED_0, COMPUTING)
    a_1, b_1 = _affine(scale_1, shift_1, channel, inside, NORMED_1, COMPUTING)
    at_0, at_1, to = x_0 + index, x_1 + index, spikes + index
    v = tl.full((BLOCK,), 0.0, COMPUTING)
    for _step in range(STEPS):
        _u, a, v = _advance(
            at_0,
            a_0,
            b_0,
            at_1,
            a_1,
            b_1,
            inside,
            v,
            TWO,
            NORMED_0,
            NORMED_1,
            KIND,
            WIDTH,
            TAU,
            THRESHOLD,
            SOFT,
            COMPUTING,
        )
        tl.store(to, a.to(spikes.dtype.element_ty), mask=inside)
        at_0, at_1, to = at_0 + step_0, at_1 + step_1, to + size


@triton.jit
def lif_backward(
    x_0,
    step_0,
    scale_0,
    shift_0,
    x_1,
    step_1,
    scale_1,
    shift_1,
    channels,
    inner,
    grad_spikes,
    grad_step,
    grad,
    scratch,
    size,
    SUMMED: tl.constexpr,
    DETACHED: tl.constexpr,
    STEPS: tl.constexpr,
    TWO: tl.constexpr,
    NORMED_0: tl.constexpr,
    NORMED_1: tl.constexpr,
    KIND: tl.constexpr,
    WIDTH: tl.constexpr,
    TAU: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SOFT: tl.constexpr,
    COMPUTING: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the gradient of a block's current, from that of its spikes."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside, channel = index < size, index // inner % channels
    a_0, b_0 = _affine(scale_0, shift_0, channel, inside, NORMED_0, COMPUTING)
    a_1, b_1 = _affine(scale_1, shift_1, channel, inside, NORMED_1, COMPUTING)
    # The pointers are moved step by step: a product of step and size may not fit into 32 bits.
    at_0, at_1, at_u, at_a, at_i = x_0 + index, x_1 + index, scratch + index, grad_spikes + index, grad + index
    v = tl.full((BLOCK,), 0.0, COMPUTING)
    for _step in range(STEPS):
        u, _a, v = _advance(
            at_0,
            a_0,
            b_0,
            at_1,
            a_1,
            b_1,
            inside,
            v,
            TWO,
            NORMED_0,
            NORMED_1,
            KIND,
            WIDTH,
            TAU,
            THRESHOLD,
            SOFT,
            COMPUTING,
        )
        tl.store(at_u, u, mask=inside)
        at_0, at_1, at_u, at_a, at_i = at_0 + step_0, at_1 + step_1, at_u + size, at_a + grad_step, at_i + size
    tl.debug_barrier()
    grad_v = tl.full((BLOCK,), 0.0, COMPUTING)
    over_time = tl.full((BLOCK,), 0.0, COMPUTING)
    for _step in range(STEPS):
        at_u, at_a, at_i = at_u - size, at_a - grad_step, at_i - size
        u = tl.load(at_u, mask=inside, other=0.0)
        grad_a = tl.load(at_a, mask=inside, other=0.0).to(COMPUTING)
        x = u - THRESHOLD
        a = _fired(x, KIND, WIDTH, COMPUTING)
        s = _derivative(x, a, KIND, WIDTH, COMPUTING)
        if SOFT:
            through = tl.full((BLOCK,), 1.0, COMPUTING) if DETACHED else 1.0 - s * THRESHOLD
        else:
            # At an infinite u the derivative s is 0, and so is its product with u.
            finite = tl.where(tl.abs(u) == float("inf"), 0.0, u)
            through = 1.0 - a if DETACHED else 1.0 - a - s * finite
        grad_u = grad_a * s + grad_v * through
        if SUMMED:
            over_time += grad_u
        else:
            tl.store(at_i, grad_u.to(grad.dtype.element_ty), mask=inside)
        grad_v = TAU * grad_u
    if SUMMED:
        tl.store(grad + index, over_time.to(grad.dtype.element_ty), mask=inside)


@triton.jit
def sum_channels(
    x,
    x_step,
    grad,
    grad_step,
    base,
    sums,
    num_rows,
    outer,
    channels,
    inner,
    chunk_rows,
    SQUARES: tl.constexpr,
    COMPUTING: tl.constexpr,
    ROWS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Write the sums of a chunk of rows over a block of channels."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    known = channel < channels
    against = tl.load(base + channel, mask=known, other=0.0)
    first = tl.program_id(1).to(tl.int64) * chunk_rows
    plain = tl.full((CHANNELS,), 0.0, COMPUTING)
    product = tl.full((CHANNELS,), 0.0, COMPUTING)
    for start in range(0, chunk_rows, ROWS):
        within = start + tl.arange(0, ROWS)
        row = first + within
        t, place = row // (outer * inner), row % (outer * inner)
        offset = ((place // inner) * channels * inner + place % inner)[:, None] + (channel * inner)[None, :]
        inside = ((within < chunk_rows) & (row < num_rows))[:, None] & known[None, :]
        far = tl.load(x + (t * x_step)[:, None] + offset, mask=inside, other=0.0).to(COMPUTING) - against[None, :]
        far = tl.where(inside, far, 0.0)
        if SQUARES:
            weight = far
            plain += tl.sum(far, 0)
        else:
            weight = tl.load(grad + (t * grad_step)[:, None] + offset, mask=inside, other=0.0).to(COMPUTING)
            plain += tl.sum(weight, 0)
        product += tl.sum(weight * far, 0)
    to = sums + tl.program_id(1) * 2 * channels + channel
    tl.store(to, plain, mask=known)
    tl.store(to + channels, product, mask=known)


@triton.jit
def combine_channels(
    x,
    x_step,
    grad,
    grad_step,
    a,
    b,
    c,
    out,
    out_step,
    size,
    channels,
    inner,
    COMPUTING: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write `a * grad + b * x + c` of a block at one step."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    t = tl.program_id(1).to(tl.int64)
    inside, channel = index < size, index // inner % channels
    by_grad = tl.load(a + channel, mask=inside, other=0.0)
    by_x = tl.load(b + channel, mask=inside, other=0.0)
    alone = tl.load(c + channel, mask=inside, other=0.0)
    d = tl.load(grad + t * grad_step + index, mask=inside, other=0.0).to(COMPUTING)
    seen = tl.load(x + t * x_step + index, mask=inside, other=0.0).to(COMPUTING)
    tl.store(out + t * out_step + index, (by_grad * d + by_x * seen + alone).to(out.dtype.element_ty), mask=inside)
