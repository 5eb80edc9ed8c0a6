/*
 * srtp.c - a port's SRTP: one sending session of libsrtp2, one receiving, and for a while the receiving one before.
 *
 * A session shares one key among all its SSRCs: libsrtp2 clones its template for the first authentic packet of each.
 */
#include "oh_srtp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

#include "oh_rtp.h"
#include "srtp_cipher.h"

#define RTP_HEAD    12u
#define RTCP_HEAD   8u /* header and the sender's SSRC */
#define RTCP_INDEX  4u /* E flag and index (RFC 3711 3.4) */
#define LONGEST     1536u /* bytes of a datagram that may be tried with more than one key */

static const struct profile {
	srtp_profile_t profile;
	size_t         key_len; /* with the salt */
	size_t         rtp_tag, rtcp_tag;
} profiles[] = {
	[OH_SRTP_AES_CM_128_HMAC_SHA1_80] = {srtp_profile_aes128_cm_sha1_80, 30, 10, 10},
	[OH_SRTP_AES_CM_128_HMAC_SHA1_32] = {srtp_profile_aes128_cm_sha1_32, 30, 4, 10}, /* RFC 4568 6.2.2 */
	[OH_SRTP_AEAD_AES_128_GCM] = {srtp_profile_aead_aes_128_gcm, 28, 16, 16},
	[OH_SRTP_AEAD_AES_256_GCM] = {srtp_profile_aead_aes_256_gcm, 44, 16, 16},
};

struct stream {                   /* an SSRC that has proved authentic */
	uint32_t ssrc;
	uint64_t heard;           /* the receiver's count of packets at its last one */
	uint16_t seq;             /* highest of its RTP */
	bool     rtp;             /* it sent RTP: `seq` is set */
};

struct receiver {
	const struct profile *profile;
	srtp_t                session;
	struct stream         streams[OH_SRTP_STREAMS];
	size_t                stream_count;
	uint64_t              packets;         /* authentic ones */
	/* The stream of the key before, should it go on with its roll-over counter under this key. */
	srtp_t                kept;            /* NULL: there is no such doubt */
	uint32_t              kept_ssrc;
	uint32_t              kept_roc;
	uint16_t              kept_seq;
	enum { OPEN, KEPT, BEGUN } roc;        /* what that stream has proved to do */
	struct receiver      *before;          /* of the key before, or NULL */
	int64_t               before_until_ns; /* CLOCK_MONOTONIC */
	uint8_t               key[OH_SRTP_KEY_MAX];
};

struct oh_srtp {
	const struct profile *profile;
	srtp_t                send;
	struct receiver      *receive;
	uint8_t               send_key[OH_SRTP_KEY_MAX];
};

/* --- life */

static int library_error;

static void prepare_library(void)
{
	library_error = srtp_init() == srtp_err_status_ok ? oh_srtp_ciphers_install() : -ENOTSUP;
}

size_t oh_srtp_key_len(enum oh_srtp_suite suite)
{
	size_t i = (size_t)suite;

	return i < sizeof(profiles) / sizeof(profiles[0]) ? profiles[i].key_len : 0;
}

/* `ssrc` is of `type` ssrc_specific only. */
static int open_session(srtp_t *session, const struct profile *profile, srtp_ssrc_type_t type, uint32_t ssrc,
                        uint8_t *key)
{
	srtp_policy_t policy;

	memset(&policy, 0, sizeof(policy));
	if (srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, profile->profile) != srtp_err_status_ok ||
	    srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, profile->profile) != srtp_err_status_ok)
		return -ENOTSUP;
	policy.ssrc.type = type;
	policy.ssrc.value = ssrc;
	policy.key = key;
	policy.window_size = OH_SRTP_WINDOW;
	switch (srtp_create(session, &policy)) {
	case srtp_err_status_ok:
		return 0;
	case srtp_err_status_alloc_fail:
		return -ENOMEM;
	default:
		return -ENOTSUP;
	}
}

static void close_session(srtp_t *session)
{
	if (*session != NULL)
		(void)srtp_dealloc(*session);
	*session = NULL;
}

static void close_receiver(struct receiver *receiver)
{
	if (receiver == NULL)
		return;
	close_receiver(receiver->before); /* which has none before it */
	close_session(&receiver->session);
	close_session(&receiver->kept);
	explicit_bzero(receiver, sizeof(*receiver));
	free(receiver);
}

void oh_srtp_close(struct oh_srtp *srtp)
{
	if (srtp == NULL)
		return;
	close_session(&srtp->send);
	close_receiver(srtp->receive);
	explicit_bzero(srtp, sizeof(*srtp));
	free(srtp);
}

int oh_srtp_open(struct oh_srtp **srtp, const struct oh_srtp_keys *keys)
{
	static pthread_once_t prepared = PTHREAD_ONCE_INIT;
	size_t                len = oh_srtp_key_len(keys->suite);
	struct oh_srtp       *made;
	int                   error;

	if (len == 0)
		return -EINVAL;
	(void)pthread_once(&prepared, prepare_library);
	if (library_error < 0)
		return library_error;
	made = calloc(1, sizeof(*made));
	if (made != NULL)
		made->receive = calloc(1, sizeof(*made->receive));
	if (made == NULL || made->receive == NULL) {
		free(made);
		return -ENOMEM;
	}
	made->profile = made->receive->profile = &profiles[keys->suite];
	memcpy(made->send_key, keys->send, len);
	memcpy(made->receive->key, keys->receive, len);
	error = open_session(&made->send, made->profile, ssrc_any_outbound, 0, made->send_key);
	if (error == 0)
		error = open_session(&made->receive->session, made->profile, ssrc_any_inbound, 0, made->receive->key);
	if (error < 0) {
		oh_srtp_close(made);
		return error;
	}
	*srtp = made;
	return 0;
}

/* --- one set of keys after another */

/* The stream that spoke last may go on under the new key with its roll-over counter: be ready for it. */
static void keep_counter(struct receiver *receiver, const struct receiver *before)
{
	const struct stream *newest = NULL;
	uint32_t             roc = 0;

	for (size_t i = 0; i < before->stream_count; i++) {
		if (before->streams[i].rtp && (newest == NULL || before->streams[i].heard > newest->heard))
			newest = &before->streams[i];
	}
	if (newest == NULL)
		return;
	if (before->kept != NULL && before->roc == KEPT && newest->ssrc == before->kept_ssrc)
		(void)srtp_get_stream_roc(before->kept, newest->ssrc, &roc);
	else
		(void)srtp_get_stream_roc(before->session, newest->ssrc, &roc);
	/* With 0 kept and begun are the same, but for a stream that is about to wrap. */
	if (roc == 0 && newest->seq < 0x8000u)
		return;
	receiver->kept_ssrc = newest->ssrc;
	receiver->kept_roc = roc;
	receiver->kept_seq = newest->seq;
	if (open_session(&receiver->kept, receiver->profile, ssrc_specific, newest->ssrc, receiver->key) < 0)
		receiver->kept = NULL; /* no memory: then only the other half of the far ends is understood */
}

bool oh_srtp_follow(struct oh_srtp *srtp, struct oh_srtp *before, int64_t now_ns)
{
	size_t len = srtp->profile->key_len;
	bool   suite = srtp->profile == before->profile;
	bool   same_send = suite && memcmp(srtp->send_key, before->send_key, len) == 0;
	bool   same_receive = suite && memcmp(srtp->receive->key, before->receive->key, len) == 0;

	if (same_send) {
		srtp_t session = srtp->send;

		srtp->send = before->send;
		before->send = session;
	}
	if (same_receive) {
		struct receiver *receiver = srtp->receive;

		srtp->receive = before->receive;
		before->receive = receiver;
	} else {
		keep_counter(srtp->receive, before->receive);
		close_receiver(before->receive->before);
		before->receive->before = NULL;
		srtp->receive->before = before->receive;
		srtp->receive->before_until_ns = now_ns + OH_SRTP_WAIT_NS;
		before->receive = NULL;
	}
	oh_srtp_close(before);
	return !same_send;
}

void oh_srtp_tick(struct oh_srtp *srtp, int64_t now_ns)
{
	struct receiver *receiver = srtp->receive;

	if (receiver->before != NULL && now_ns >= receiver->before_until_ns) {
		close_receiver(receiver->before);
		receiver->before = NULL;
	}
	if (receiver->roc == BEGUN)
		close_session(&receiver->kept);
}

/* --- sending */

int oh_srtp_protect(struct oh_srtp *srtp, uint8_t *data, size_t len, size_t cap)
{
	int n = (int)len;

	if (cap < len || cap - len < OH_SRTP_TRAILER || len > INT_MAX / 2)
		return -ENOBUFS;
	return srtp_protect(srtp->send, data, &n) == srtp_err_status_ok ? n : -EIO;
}

int oh_srtp_protect_rtcp(struct oh_srtp *srtp, uint8_t *data, size_t len, size_t cap)
{
	int n = (int)len;

	if (cap < len || cap - len < OH_SRTP_TRAILER || len > INT_MAX / 2)
		return -ENOBUFS;
	return srtp_protect_rtcp(srtp->send, data, &n) == srtp_err_status_ok ? n : -EIO;
}

/* --- receiving */

static int refusal(srtp_err_status_t status)
{
	switch (status) {
	case srtp_err_status_replay_fail:
	case srtp_err_status_replay_old:
		return -EALREADY;
	case srtp_err_status_bad_param:
	case srtp_err_status_parse_err:
		return -EBADMSG;
	default:
		return -EACCES;
	}
}

static uint32_t read_32(const uint8_t *data)
{
	return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

/* The session made a record for this SSRC, or had one: know of it, and have it forget another where they become many. */
static struct stream *note(struct receiver *receiver, uint32_t ssrc)
{
	struct stream *stream = receiver->streams;
	struct stream *oldest = stream;

	for (size_t i = 0; i < receiver->stream_count; i++, stream++) {
		if (stream->ssrc == ssrc)
			break;
		if (stream->heard < oldest->heard)
			oldest = stream;
	}
	if (stream == receiver->streams + receiver->stream_count) {
		if (receiver->stream_count < OH_SRTP_STREAMS) {
			receiver->stream_count++;
		} else {
			(void)srtp_remove_stream(receiver->session, htonl(oldest->ssrc));
			stream = oldest;
		}
		*stream = (struct stream){.ssrc = ssrc};
	}
	stream->heard = ++receiver->packets;
	return stream;
}

/* The roll-over counter of a packet that follows `kept_seq` (RFC 3711 3.3.1). */
static uint32_t guess_roc(const struct receiver *receiver, uint16_t seq)
{
	int ahead = oh_seq_diff(seq, receiver->kept_seq);

	if (ahead > 0 && seq < receiver->kept_seq)
		return receiver->kept_roc + 1u;
	if (ahead < 0 && seq > receiver->kept_seq && receiver->kept_roc > 0)
		return receiver->kept_roc - 1u;
	return receiver->kept_roc;
}

/* Try the session whose counter goes on; `*len` is the new length. */
static srtp_err_status_t try_kept(struct receiver *receiver, uint8_t *data, int *len, uint16_t seq)
{
	uint32_t          roc = guess_roc(receiver, seq);
	srtp_err_status_t status;

	if (receiver->roc == OPEN) {
		if (roc == 0) /* which is what the other session assumes */
			return srtp_err_status_auth_fail;
		(void)srtp_set_stream_roc(receiver->kept, receiver->kept_ssrc, roc);
	}
	status = srtp_unprotect(receiver->kept, data, len);
	if (status == srtp_err_status_ok)
		receiver->roc = KEPT;
	return status;
}

/* Bytes before what is encrypted, or more than there are. */
static size_t rtp_head(const uint8_t *data, size_t len)
{
	size_t head = RTP_HEAD + (data[0] & 15u) * 4u;

	if ((data[0] & 0x10u) == 0)
		return head;
	head += 4u;
	return len < head ? head : head + ((size_t)data[head - 2u] << 8 | data[head - 1u]) * 4u;
}

static int receive_rtp(struct receiver *receiver, uint8_t *data, size_t len)
{
	uint32_t          ssrc = read_32(data + 8);
	uint16_t          seq = (uint16_t)(data[2] << 8 | data[3]);
	bool              doubt = receiver->kept != NULL && receiver->kept_ssrc == ssrc && receiver->roc != BEGUN;
	srtp_err_status_t status = srtp_err_status_auth_fail;
	struct stream    *stream;
	uint8_t           copy[LONGEST];
	int               n = (int)len;

	if (len < rtp_head(data, len) + receiver->profile->rtp_tag)
		return -EBADMSG;
	if (doubt && receiver->roc == KEPT) {
		status = try_kept(receiver, data, &n, seq);
	} else {
		if (doubt) /* what fails may lie in shreds afterwards */
			memcpy(copy, data, len);
		status = srtp_unprotect(receiver->session, data, &n);
		if (doubt && status == srtp_err_status_ok && guess_roc(receiver, seq) != 0)
			receiver->roc = BEGUN;
		if (doubt && status == srtp_err_status_auth_fail) {
			memcpy(data, copy, len);
			n = (int)len;
			status = try_kept(receiver, data, &n, seq);
		}
	}
	if (status != srtp_err_status_ok)
		return refusal(status);
	stream = note(receiver, ssrc);
	if (!stream->rtp || oh_seq_diff(seq, stream->seq) > 0)
		stream->seq = seq;
	stream->rtp = true;
	return n;
}

static int receive_rtcp(struct receiver *receiver, uint8_t *data, size_t len)
{
	uint32_t          ssrc = read_32(data + 4);
	int               n = (int)len;
	srtp_err_status_t status;

	if (len < RTCP_HEAD + RTCP_INDEX + receiver->profile->rtcp_tag)
		return -EBADMSG;
	status = srtp_unprotect_rtcp(receiver->session, data, &n);
	if (status != srtp_err_status_ok)
		return refusal(status);
	(void)note(receiver, ssrc);
	return n;
}

typedef int receive(struct receiver *receiver, uint8_t *data, size_t len);

/* With the key that holds, else with the one before while its time lasts. */
static int receive_any(struct oh_srtp *srtp, receive *one, uint8_t *data, size_t len, int64_t now_ns)
{
	struct receiver *receiver = srtp->receive;
	bool             before = receiver->before != NULL && now_ns < receiver->before_until_ns;
	uint8_t          copy[LONGEST];
	int              n;

	if (before)
		memcpy(copy, data, len);
	n = one(receiver, data, len);
	if (n >= 0) {
		if (before && receiver->before_until_ns > now_ns + OH_SRTP_OLD_NS)
			receiver->before_until_ns = now_ns + OH_SRTP_OLD_NS;
		return n;
	}
	if (n == -EALREADY || !before)
		return n;
	memcpy(data, copy, len);
	return one(receiver->before, data, len);
}

int oh_srtp_unprotect(struct oh_srtp *srtp, uint8_t *data, size_t len, int64_t now_ns)
{
	if (len < RTP_HEAD || len > LONGEST || data[0] >> 6 != 2)
		return -EBADMSG;
	return receive_any(srtp, receive_rtp, data, len, now_ns);
}

int oh_srtp_unprotect_rtcp(struct oh_srtp *srtp, uint8_t *data, size_t len, int64_t now_ns)
{
	if (len < RTCP_HEAD || len > LONGEST || data[0] >> 6 != 2)
		return -EBADMSG;
	return receive_any(srtp, receive_rtcp, data, len, now_ns);
}
