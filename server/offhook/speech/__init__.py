"""What hears and speaks: the SpeechModel contract, the models behind it, and the process that serves them on time.

The edge sees `workers` (and `contract` for the words it uses); everything else runs in the worker process. Nothing in
this package knows a call, a dial plan or a telephone.
"""
