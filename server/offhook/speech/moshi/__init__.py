"""Full-duplex models of Moshi's architecture (Moshi, PersonaPlex) in the scheduler's slots, with weights the operator
brings.

`model.MoshiModel` is what the worker loads. It needs the extra `moshi` (PyTorch and Kyutai's package); nothing outside
`loading`, `rows` and `resampling` imports either, and this package brings no weights of its own.
"""
