"""What the duplex model understands and how it takes turns, measured by the runtime that serves, beside the cascade."""
