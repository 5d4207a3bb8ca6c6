r"""Scaling laws of Kaplan et al. (2020): the exponents that the neural percolation model is fitted to.

.. math:: L(P) = (P_c/P)^{0.076}, \qquad L(D) = (D_c/D)^{0.095}

P non-embedding parameters, D tokens, L in nats a token (kaplan2020scaling, eqs 1.1 and 1.2). The exponent of
tokens is 0.095; the neural percolation model fits its token density to 0.076, the exponent of parameters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.theory.checks import numbers

PARAMS_EXPONENT, PARAMS_SCALE = 0.076, 8.8e13
TOKENS_EXPONENT, TOKENS_SCALE = 0.095, 5.4e13
_TINY = float(np.nextafter(0, 1))


def loss_of_params(params: ArrayLike) -> NDArray[np.float64]:
    """Loss in nats a token for `params` non-embedding parameters and data without end (eq. 1.1).

    Raises
    ------
    InputError
        Numbers that are not positive.
    """
    return (PARAMS_SCALE / numbers(params, "params", _TINY)) ** PARAMS_EXPONENT


def loss_of_tokens(tokens: ArrayLike) -> NDArray[np.float64]:
    """Loss in nats a token for `tokens` training tokens and a network without end (eq. 1.2).

    Raises
    ------
    InputError
        Numbers that are not positive.
    """
    return (TOKENS_SCALE / numbers(tokens, "tokens", _TINY)) ** TOKENS_EXPONENT
