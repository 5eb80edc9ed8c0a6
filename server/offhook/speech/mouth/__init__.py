"""The mouth: a Piper voice (VITS) taken apart, so that its sound comes piece by piece.

`split` cuts the voice's one graph into three, once; `graphs` runs them; `rendering` makes one clause with them, a chunk
at a time; `level` brings the chunks to level and cuts the silence around them. What is said, and when, is decided
elsewhere.
"""
