"""Training and evaluation of the models that Offhook ships; nothing of the server imports it."""
