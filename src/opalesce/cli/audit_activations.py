"""The activations part of an audit: dimension, isotropy and massive activations, layer by layer."""
