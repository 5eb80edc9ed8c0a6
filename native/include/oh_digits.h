/*
 * oh_digits.h - telephone keys in RTP (RFC 4733): presses out of packets, packets out of a string of keys.
 *
 * Receiving: one report a press, whatever is lost or repeated. A press is known by its RTP timestamp. It is reported
 * when its first packet with the end bit comes, or when another press begins, or when nothing more of it came for
 * OH_DIGITS_PATIENCE_NS (all end packets lost). A lost start is survived because every packet carries key and duration;
 * the marker bit is not needed. A key held for longer than a 16-bit duration can say continues under a new timestamp
 * (RFC 4733 section 2.5.1.3) and is still one press.
 *
 * Sending: one packet a tick in place of audio: the start (marker), updates, then the end three times on three ticks.
 */
#ifndef OH_DIGITS_H
#define OH_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OH_DIGITS_PAYLOAD     4u           /* bytes of a telephone-event payload */
#define OH_DIGITS_MAX         64u          /* longest string of keys to send */
#define OH_DIGITS_PATIENCE_NS 200000000ll  /* a press with no end packet is over after this */

struct oh_digit {
	char     key;         /* '0'..'9' '*' '#' 'A'..'D' */
	uint32_t duration_ms; /* as far as it was heard of */
	uint32_t timestamp;   /* RTP timestamp of the press */
};

struct oh_digits_in {
	int64_t  seen_ns;   /* when the open press was last heard of */
	uint32_t timestamp; /* of the newest segment of the open or last press */
	uint32_t start;     /* timestamp of its first segment */
	uint32_t duration;  /* of the newest segment, by the timestamps' clock */
	uint32_t before;    /* of the segments before it, likewise */
	uint32_t rate_hz;   /* of its timestamps and durations */
	uint8_t  event;     /* 0..15 */
	bool     open;      /* a press is going on */
	bool     any;       /* timestamp is of some press; false before the first */
};

/*
 * Start, or start again after the remote's SSRC changed.
 *   rate_hz  telephone-event's clock as it was agreed: 8000, or 48000 beside Opus (RFC 7587 section 7)
 */
void oh_digits_in_init(struct oh_digits_in *in, uint32_t rate_hz);

/*
 * One telephone-event packet arrived.
 *   payload, len  RTP payload; timestamp: RTP timestamp; now_ns: CLOCK_MONOTONIC
 *   out           presses that are over now, oldest first (2: the press before this packet's, and this packet's)
 * Number of presses in out, 0..2; -EBADMSG: shorter than 4 bytes. Events other than keys (16..255) are ignored: 0.
 */
int oh_digits_receive(struct oh_digits_in *in, const uint8_t *payload, size_t len, uint32_t timestamp, int64_t now_ns,
                      struct oh_digit out[2]);

/* Time passed: 1 and a press in out where one is over for want of packets, else 0. Call every 20 ms or so. */
int oh_digits_in_tick(struct oh_digits_in *in, int64_t now_ns, struct oh_digit *out);

struct oh_digits_out {
	char     keys[OH_DIGITS_MAX + 1u]; /* what remains is from `at` on; ends with 0 */
	uint32_t at;                       /* index of the key being sent */
	uint32_t press;                    /* length of the press being sent, samples at 8 kHz */
	uint32_t next_press;               /* of those after it */
	uint32_t gap;                      /* silence after a press, samples */
	uint32_t timestamp;                /* of the press being sent, or of its newest segment */
	uint32_t segment;                  /* samples of the press before that segment */
	uint32_t sent;                     /* duration said so far, samples; 0: the press has not begun */
	uint32_t ends;                     /* end packets sent, 0..3 */
	uint32_t quiet;                    /* of the gap, samples passed */
	uint8_t  volume;                   /* -dBm0, 0..63 */
};

struct oh_digits_packet {
	uint8_t  payload[OH_DIGITS_PAYLOAD]; /* RFC 4733 section 2.3 */
	uint32_t timestamp;                  /* to send it under: that of the press, not of this tick */
	bool     marker;                     /* first packet of a press */
};

/* Nothing to send. */
void oh_digits_out_init(struct oh_digits_out *out);

/*
 * Queue a string of keys; further keys may be queued while earlier ones are being sent.
 *   keys      0-9 * # A-D (a-d too); press_ms 40..8000, 100 is usual; gap_ms 40..8000, 60 and more is usual
 * 0; -EINVAL: a key that is none, an empty string or times out of range; -ENOSPC: more than OH_DIGITS_MAX waiting.
 */
int oh_digits_out_queue(struct oh_digits_out *out, const char *keys, unsigned press_ms, unsigned gap_ms);

/*
 * One packet time passes.
 *   now      RTP timestamp of this tick's first sample; samples: samples at 8 kHz in a packet (160 for 20 ms)
 *   rate_hz  telephone-event's clock, see oh_digits_in_init. At 48000 a key held for more than 1.3 s goes on in segments
 *   packet   filled where 1 is returned
 * 1: send this packet in place of audio (with the next sequence number); 0: none, send audio (in the gap between
 * two presses audio must be silent), see oh_digits_out_busy.
 */
int oh_digits_out_tick(struct oh_digits_out *out, uint32_t now, uint32_t samples, uint32_t rate_hz,
                       struct oh_digits_packet *packet);

/* True from oh_digits_out_queue until the last key's gap is over. */
bool oh_digits_out_busy(const struct oh_digits_out *out);

#endif
