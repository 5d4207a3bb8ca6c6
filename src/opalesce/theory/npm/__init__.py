"""The neural percolation model of Ding (2026): equations, fits, predictions, and what is wrong with them.

Names: `tokens` is always a count of training tokens, `params` of parameters, `breadth` the breadth of the
data in (0, 1] (the paper's sigma), `depth` the reasoning depth of a task (its tau).
"""
