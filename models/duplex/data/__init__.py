"""What the duplex model learns from: texts, voices that say them, and the telephone lines they come through."""
