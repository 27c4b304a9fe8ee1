"""The thresholds of the verdicts, each with its reason.

The second moment of an array is its mean square. Logarithms of gains are those of squared gains:
variance of a unit's sum over the mean square of its inputs.
"""

import math

# --- Fluctuations of a healthy network ---

DEVIATIONS = 5.0
"""Standard deviations by which a measurement may differ from its prediction: a normal variable
differs by more with probability 6e-7, so that a network of many layers raises no false alarm."""

DEAD_DEVIATIONS = 4.5
"""Standard deviations by which the number of dead units may exceed half of the units: probability
3e-6 that independent units which are dead with probability 1/2 do so by chance."""

GROWTH_PER_LAYER = 4.0
"""At criticality smooth activations change the second moment like a power of the depth: it changes
by less than this factor times the number of layers."""

MIN_GROWTH = 32.0
"""Growth or decay of a second moment that a few layers may always show: one sigmoid layer divides
the squared gradient by 16 or more, because its slope is at most 1/4."""

MIN_ITERATIONS = 8
"""Iterations of a loop from which on growth is judged: in fewer, a state that is initialized with
zeros has not yet forgotten it."""

FADED = 1e-3
"""Ratio of the gradients of the second and the last iteration of a loop that is worth mentioning.
"""

FASTEST_FADING = 0.4
"""Factor of the gradient per iteration of a loop below which a closed forget gate or a small
recurrent kernel is a fault. A forget gate or an update gate of bias 0, the default of Flax and of
PyTorch, passes back at least σ(0) = 0.5 of the gradient, and a tanh cell with an orthogonal kernel
and inputs of RMS 1 the square root of E[φ'(z)²], 0.6. Measured over 20 and 60 iterations: LSTM
0.65, with forget biases of 1 0.8, GRU 0.65, minimal gated unit 0.8, tanh cell 0.62, linear
recurrent unit 0.98, whatever their length; LSTM with forget biases of -1 0.45 and of -3 0.23, tanh
cell with half of the gain that it needs 0.32. The limit is the geometric mean of 0.32 and 0.5."""

LEAST_GRADIENT = 1e-28
"""Squared gradient over that of the last iteration below which float32 is about to lose it."""

STEP_SHARE = 0.5
"""A step from one layer to the next takes part in a growth if it contributes at least this share
of what the steps contribute on average."""

NORMALIZATION_GRADIENT_GROWTH = math.log(math.pi / (math.pi - 1))
"""Growth of the squared gradient at a normalization that a relu follows, which is healthy: it is
that of batch normalization (Yang et al., 2019)."""

# --- One kernel ---

MAX_LOG_GAIN = math.log(100.0)
"""A kernel is at fault by itself if its gain is ten times too large or ten times too small. Smaller
errors are judged by what the layers of a chain do together."""

GAIN_TOLERANCE = math.log(1.25)
"""Log of the squared gain: gains within 12 % of the needed one are not the cause of a growth."""

EXPLAINED_SHARE = 0.25
"""Share of the log growth that the errors of the gains must add up to, to be its cause."""

MAX_MEAN_SHARE = 0.5
"""Share of the squared mean in the second moment of a kernel above which its units are nearly
equal: the common mean then outweighs the differences."""

MIN_KERNEL_ENTRIES = 16
"""Entries below which the second moment of a kernel is too uncertain (relative standard deviation
√(2/16) = 0.35) to be judged."""

MIN_FAN_ENTRIES = 160
"""Entries below which the fan-in that a kernel was scaled for cannot be inferred: the standard
deviation is known to 6 % only, and values within 15 % are taken as equal."""

# --- Equal units ---

EQUAL_UNITS_TOLERANCE = 1e-5
"""Relative difference of random products up to which two units are equal. Sums of float32 numbers
in another order differ by about 1e-7 times the square root of their number."""

# --- Parameters that never receive a gradient ---

WAKING_STEP = 0.1
"""Size of the random steps that stand for training, relative to the RMS of a parameter: smaller
ones underflow where several such parameters are multiplied."""

MAX_WAKING_STEPS = 8
"""Steps in which a gradient may reach further parameters: one for each of the factors that are zero
at first. Networks that need more than two are unknown to us."""

MAX_REDRAWN_PARAMETERS = 24
"""Parameters that are redrawn, each in a run of its own, to find out which keeps others at zero."""

# --- Activations ---

SATURATION_MARGIN = 0.025
"""Fraction of an activation's range up to which an entry is at one of its limits: for tanh where
|y| > 0.95, for the logistic function at inputs twice as large."""

SATURATED_FRACTION = 0.6
"""Share of activations at their limits above which a layer is saturated. A healthy relu6 has half
of its activations at the lower limit."""

DEAD_FRACTION = 0.75
"""Share of dead units above which a layer is dead, in layers wide enough that chance does not
explain it (see `DEAD_DEVIATIONS`)."""

LARGE_INPUT_SECOND = 4.0
"""Second moment of a layer's input above which the input, not the kernel, saturates a layer whose
squared gain is below this number."""

# --- Floating-point range ---

OVERFLOW_MARGIN = 16.0
"""A result above the largest number of its dtype divided by this overflows with a few more layers
or training steps."""

NARROW_DTYPE_MAX = 1e30
"""A dtype whose largest number is below this (float16) gains range by a change to bfloat16."""

NARROW_DTYPE_TINY = 1e-30
"""A dtype whose smallest normal number is above this (float16) can lose gradients to underflow."""

UNDERFLOW_FRACTION = 0.5
"""Share of lost gradient entries from which on a layer underflows."""

UNDERFLOW_RMS_RATIO = 1e3
"""RMS of the gradient over the smallest normal number above which lost entries do not matter."""

# --- Directions of the signal ---

MIN_DECORRELATION = 1e-13
"""1 - c below which float32 cannot tell directions apart: (2^-24)² is 4e-15, and sums over units
add to it."""

DISTINCT_INPUTS = 1e-6
"""Value of 1 - c at the first layer of a chain up to which its inputs count as equal."""

CHAOTIC_DECORRELATION_RATIO = 0.3
"""1 - c of the last layer over that of the first above which growing gradients are chaotic: the
signal stays of constant size and its directions stay apart."""

# --- Whole networks ---

LARGE_BRANCH_RATIO = 0.25
"""Second moment of a residual branch over that of its residual stream above which the branch takes
part in an explosion: four such branches more than double the mean square of the stream."""

LARGE_INPUT_RMS = 5.0
"""RMS of the inputs above which a note mentions it; initializers assume inputs of RMS 1."""

MAX_INPUT_RMS = 25.0
"""RMS of the inputs above which it is a fault: pixels from 0 to 255 have more."""

MIN_INPUT_RMS = 1e-2
"""RMS of the inputs' nonzero entries below which it is a fault: unit vectors of up to 10,000
entries have more, and zeros of sparse inputs do not count."""

MAX_COLUMN_SHARE = 0.9
"""Share of one feature in the sum of squares of the inputs above which the others hardly count."""

SAME_RMS_TOLERANCE = 0.01
"""Relative difference of RMS up to which a layer's input is taken to be an input of the network."""

BYTE_INPUT_MAX = 255.0
"""Largest value of a pixel that is stored in a byte."""

SQUARE_OVERFLOW = 1e18
"""RMS from which on mean squares overflow in float32, whose largest number is 3e38."""

MAX_TARGET_RMS = 25.0
"""RMS of the targets of a regression above which they are out of scale, like inputs."""

MAX_TARGET_RATIO = 10.0
"""RMS of the targets over that of the outputs up to which the outputs are of their size."""

MAX_LOSS_RATIO = 4.0
"""Loss over that of a uniform guess above which it is a fault, if inputs or gains explain it.
Logits of standard deviation s add about s²/2 to the loss, so that ten classes exceed this ratio at
about s = 4. Without a known cause, it may be the fluctuation of a narrow network."""

MAX_UNEXPLAINED_LOSS_RATIO = 10.0
"""Loss over that of a uniform guess above which fluctuations do not explain the loss."""

# --- Learning rates ---

CATAPULT_RATIO = 6.0
"""Learning rate over the ceiling 2/λ of gradient descent above which it is too large. Networks of
relu train at initialization up to about 12/λ, others up to 4/λ, because the curvature falls in the
first steps (Lewkowycz et al., "The large learning rate phase of deep learning: the catapult
mechanism", 2020). For an update u of any optimizer, λ is the curvature along u."""

MAX_UPDATE_RATIO = 1.0
"""Median over kernels of the RMS of the first update over that of the weights above which the
learning rate is too large: the update then outweighs the initialization."""

MAX_STEPS_TO_BOTTOM = 10_000.0
"""Updates needed to reach the lowest loss along the first update above which the learning rate is
too small. The first update points along the largest curvatures, and all other directions need
more: those with a hundredth of the curvature a million updates."""

MIN_LOSS_RISE = 0.01
"""Rise of the loss, over the loss, that rounding does not explain."""

PARALLEL_TOLERANCE = 1e-3
"""1 - cosine of update and negative gradient below which the optimizer is gradient descent."""

WARM_UP_STEPS = 2000
"""Updates in which a schedule is followed."""

KEPT_FRACTION = 0.9
"""Share of entries that keep their value at the first update above which a parameter is frozen."""
