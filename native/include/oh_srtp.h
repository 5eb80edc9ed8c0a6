/*
 * oh_srtp.h - SRTP and SRTCP (RFC 3711) of one port: what it sends and what it receives, over libsrtp2.
 *
 * Packets are protected and unprotected in place. A context belongs to one thread at a time; opening and closing may be
 * done in any. Nothing is allocated for a packet, but for one thing: libsrtp2 keeps a record for each SSRC, which it
 * makes for the first packet of an SSRC that proves authentic. There are at most OH_SRTP_STREAMS of these, the one that
 * was heard least recently goes. What is not authentic allocates nothing and changes nothing.
 *
 * Keys: both master keys are wiped when the context is closed, and appear in no log. For every SSRC the roll-over counter
 * begins at 0 (RFC 3711 3.3.1) and the replay window holds OH_SRTP_WINDOW packets.
 *
 * New keys during a call: open a context with them and let it follow the one before (oh_srtp_follow). A key that stays
 * the same goes on with its counters. Where the receiving key is another one, what was sent with the key before is taken
 * until a second after the first packet with the new one, for packets are on their way while signalling is. The roll-over
 * counter of a stream that goes on with a new key is either kept (RFC 3711 3.3.1) or begins at 0 (RFC 4568 7.1.4): both
 * are met in the field, so both are tried, and what proves authentic is stuck to.
 */
#ifndef OH_SRTP_H
#define OH_SRTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OH_SRTP_KEY_MAX  46u           /* longest master key and salt, bytes */
#define OH_SRTP_TRAILER  20u           /* bytes that protecting adds at most: index and tag */
#define OH_SRTP_WINDOW   256u          /* packets */
#define OH_SRTP_STREAMS  32u           /* SSRCs of one receiving key that are remembered */
#define OH_SRTP_OLD_NS   1000000000ll  /* the key before is taken for so long after the first packet with the new one, */
#define OH_SRTP_WAIT_NS  32000000000ll /* and for so long where none comes: an INVITE transaction's end (RFC 3261 17) */

enum oh_srtp_suite {                         /* RFC 4568 6.2, RFC 5764 4.1.2, RFC 7714 14 */
	OH_SRTP_AES_CM_128_HMAC_SHA1_80 = 1, /* master key 16 bytes, salt 14 */
	OH_SRTP_AES_CM_128_HMAC_SHA1_32,     /* the same; 80-bit tags on SRTCP nevertheless */
	OH_SRTP_AEAD_AES_128_GCM,            /* 16 and 12 */
	OH_SRTP_AEAD_AES_256_GCM             /* 32 and 12 */
};

struct oh_srtp_keys {                                 /* each master key with its salt right behind it */
	enum oh_srtp_suite suite;
	uint8_t            send[OH_SRTP_KEY_MAX];
	uint8_t            receive[OH_SRTP_KEY_MAX];
};

struct oh_srtp;

/* Bytes of a master key and its salt; 0: no such suite. */
size_t oh_srtp_key_len(enum oh_srtp_suite suite);

/*
 * Open a context; allocates, and prepares libsrtp2 once for the process. `*srtp` is the caller's until oh_srtp_close.
 * 0; -EINVAL: no such suite, -ENOMEM, -ENOTSUP: the library will not have it.
 */
int oh_srtp_open(struct oh_srtp **srtp, const struct oh_srtp_keys *keys);

/* Wipe the keys and free it. NULL is fine. */
void oh_srtp_close(struct oh_srtp *srtp);

/*
 * `srtp`, just opened, takes over from `before`, which is gone after this. May allocate: not for a packet's way.
 *   true: what it sends has another key from here on. Where that stream's sequence numbers have wrapped it needs another
 *   SSRC, for far ends differ in what they take its roll-over counter to be.
 */
bool oh_srtp_follow(struct oh_srtp *srtp, struct oh_srtp *before, int64_t now_ns);

/* Free what is left of keys whose time is over. For now and then. */
void oh_srtp_tick(struct oh_srtp *srtp, int64_t now_ns);

/*
 * Protect an RTP or a compound RTCP packet (which one is built here: it is whole).
 *   data  the packet, at an address divisible by 4; cap its room, at least len + OH_SRTP_TRAILER
 * The new length; -ENOBUFS: cap is too small; -EIO: the library would not (sequence numbers that were used already).
 */
int oh_srtp_protect(struct oh_srtp *srtp, uint8_t *data, size_t len, size_t cap);
int oh_srtp_protect_rtcp(struct oh_srtp *srtp, uint8_t *data, size_t len, size_t cap);

/*
 * Unprotect what a network brought.
 *   data  any bytes, at an address divisible by 4; undefined where it is refused
 *   now_ns  CLOCK_MONOTONIC
 * The new length; -EBADMSG: too short, or lengths that lie; -EACCES: not authentic; -EALREADY: seen before, or too old to
 * tell.
 */
int oh_srtp_unprotect(struct oh_srtp *srtp, uint8_t *data, size_t len, int64_t now_ns);
int oh_srtp_unprotect_rtcp(struct oh_srtp *srtp, uint8_t *data, size_t len, int64_t now_ns);

#endif
