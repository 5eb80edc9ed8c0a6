"""The model `realtime`: a client for OpenAI-compatible realtime speech APIs, as one more model behind the contract.

The caller's sound goes over a WebSocket to a server elsewhere, which hears, decides and speaks; what it says comes
back as sound and words. Here are the protocol, the agent's file as instructions, and the manners on the telephone:
cutting in, falling silent, going on after a lost connection. No sound is understood or made here.
"""
