r"""Neuron-based multifractal analysis of weights (NeuroMFA), scale-free and as published.

Neurons are coordinates of hidden vectors, weights their one-hop edges of length 1/|w|. `multifractal_*` are
scale-free: nothing changes when a matrix is multiplied by a number. `paper_*` repeat the published rules on
published samples; their alpha_0 and E follow the size of the weights (`theory.multifractal.neurons`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opalesce.observables.neurons import Neurons
from opalesce.observables.registry import observable
from opalesce.theory.multifractal.exponents import SingularitySpectrum, emergence

FREE = frozenset({"scale", "permutation", "sign"})


def _mean(spectra: list[SingularitySpectrum]) -> tuple[float, float]:
    return float(np.mean([s.width for s in spectra])), float(np.mean([s.alpha0 for s in spectra]))


@observable(
    on="neurons",
    unit="1",
    symmetries=FREE,
    null="half_normal",
    source="xiao2025neuromfa, partition function of the release; scale-free form ours",
)
def multifractal_alpha0(neurons: Neurons) -> float:
    r"""Regularity: how fast a typical neuron's edges fill with radius, free of scale.

    .. math::

        \alpha_0 = \tau'(0) = \mathrm{slope\ of\ } \langle \ln N_i(r) \rangle_i \mathrm{\ on\ } \ln r, \quad
        Z_q(r) = \sum_i \Big(\frac{N_i(r)}{N_i}\Big)^q \sim r^{\tau(q)}, \quad d_{ij} = \mathrm{rms}/|w_{ij}|

    N_i(r) is 1 + edges of neuron i shorter than r; the window holds 2 % to 50 % of all edges. The mean of
    per-neuron dimensions, equal to the information dimension of boxes where there is scaling. Null: normal
    weights, `theory.multifractal.neurons.gaussian_alpha0` (2.35 at 400 targets, R^2 0.94: there is no scaling
    regime); heavier tails lower it. Needs neurons with more than 10 edges.

    Raises
    ------
    InputError
        Non-finite weights; fewer than four radii in the window.
    """
    return neurons.spectrum.alpha0


@observable(
    on="neurons",
    unit="1",
    symmetries=FREE,
    null="shuffle",
    source="xiao2025neuromfa, width of the spectrum; scale-free form ours",
)
def multifractal_width(neurons: Neurons) -> float:
    r"""Heterogeneity: width of the spectrum of neurons, free of scale.

    .. math:: w = \max_q \alpha(q) - \min_q \alpha(q), \quad |q| \le 3

    Window and sums as `multifractal_alpha0`. A homogeneous network of short rows has a width too (0.3 for
    normal 800 x 400 weights, 0.04 for 2000 x 3000): compare with shuffled entries of the same shape.

    Raises
    ------
    InputError
        As `multifractal_alpha0`.
    """
    return neurons.spectrum.width


@observable(
    on="neurons",
    unit="1",
    symmetries=FREE,
    null="shuffle",
    source="xiao2025neuromfa, fit of the mass exponent; scale-free form ours",
)
def multifractal_r2(neurons: Neurons) -> float:
    r"""Goodness of the scaling behind the exponents: R^2 of the line at q = 1.

    .. math:: R^2 = 1 - \mathrm{RSS}/\mathrm{TSS} \mathrm{\ of\ } \ln Z_1(r) \mathrm{\ on\ } \ln r

    Near 1 only where there is a power law; normal weights give 0.94, which is a curve, not a line.

    Raises
    ------
    InputError
        As `multifractal_alpha0`.
    """
    m = neurons.exponents
    return float(m.r2[np.argmin(np.abs(m.q - 1))])


@observable(
    on="neurons",
    unit="1",
    symmetries=FREE,
    null="shuffle",
    dim="moment",
    source="xiao2025neuromfa, mass exponent; scale-free form ours",
)
def multifractal_tau(neurons: Neurons) -> NDArray[np.float64]:
    r"""Mass exponents at q = -3, -2.9, ... 3: all that the spectrum f(alpha) needs.

    .. math:: Z_q(r) \sim r^{\tau(q)}, \quad \alpha = \tau', \quad f = q \alpha - \tau

    Raises
    ------
    InputError
        As `multifractal_alpha0`.
    """
    return neurons.exponents.tau


@observable(
    on="neurons_pair",
    unit="1",
    symmetries=FREE,
    null="shuffle",
    source="xiao2025neuromfa, degree of emergence; scale-free form ours",
)
def multifractal_emergence(pair: tuple[Neurons, Neurons]) -> float:
    r"""Degree of emergence against the first checkpoint, free of scale.

    .. math:: E = \frac{w}{w_0} \ln \frac{\alpha_0(0)}{\alpha_0}

    0 at the first checkpoint, and for any rescaled copy of it. "Emergence" is the source's word: it is a
    descriptor of structure, with a null (shuffled entries), not a sign of a transition.

    Raises
    ------
    InputError
        As `multifractal_alpha0`.
    """
    now, first = (x.spectrum for x in pair)
    return emergence(now.width, now.alpha0, first.width, first.alpha0)


@observable(
    on="neurons",
    unit="1",
    symmetries={"sign"},
    null="shuffle",
    source="xiao2025neuromfa, regularity, as in the release",
)
def paper_alpha0(neurons: Neurons) -> float:
    r"""Regularity by the published rules: mean of alpha_0 over 10 sampled networks.

    .. math:: \alpha_0 = \alpha_k, \; k = \arg\max f_k, \quad \alpha_k = \frac{\tau(q_k) - \tau(q_{k-1})}{0.1}

    Integer lengths 1 < 1/|w| <= 150. It follows the size of the weights: see `multifractal_alpha0`.

    Raises
    ------
    InputError
        From `paper_exponents`.
    """
    return _mean(neurons.samples)[1]


@observable(
    on="neurons",
    unit="1",
    symmetries={"sign"},
    null="shuffle",
    source="xiao2025neuromfa, heterogeneity, as in the release",
)
def paper_width(neurons: Neurons) -> float:
    r"""Heterogeneity by the published rules: mean width over 10 sampled networks.

    .. math:: w = \max_k \alpha_k - \min_k \alpha_k

    Rows of 32 to 192 edges make most of it: a perfectly homogeneous network shows 0.3.

    Raises
    ------
    InputError
        From `paper_exponents`.
    """
    return _mean(neurons.samples)[0]


@observable(
    on="neurons_pair",
    unit="1",
    symmetries={"sign"},
    null="shuffle",
    source="xiao2025neuromfa, degree of emergence, as in the release",
)
def paper_emergence(pair: tuple[Neurons, Neurons]) -> float:
    r"""Degree of emergence by the published rules.

    .. math:: E = \frac{\bar w}{\bar w_0} \ln \frac{\bar\alpha_0(0)}{\bar\alpha_0}

    Means over 10 sampled networks. **Doubling all weights of a Gaussian network gives 0.25, tripling
    0.5**: the published 0.3 to 0.8 can come from growth alone. Look at `multifractal_emergence`.

    Raises
    ------
    InputError
        From `paper_exponents`.
    """
    now, first = (_mean(x.samples) for x in pair)
    return emergence(*now, *first)
