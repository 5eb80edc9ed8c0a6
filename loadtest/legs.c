/*
 * legs.c - the far ends of thousands of calls in one process: sends their packets, takes and checks what comes back.
 *
 *   legs --legs N --seconds S [--codec opus] [--suite NAME] [--warm S]
 *
 * Opens its sockets and prints one line `{"ports": [...]}`: leg i speaks from port ports[i % count] of 127.0.0.1. Then
 * reads one line a leg from standard input, `PORT [SEND RECEIVE]`: the UDP port to send to and, with --suite, the
 * master keys and salts in hexadecimal. Sends 50 packets a second a leg, mu-law, or Opus as browsers code a voice (mono,
 * 48 kHz, 32 kbit/s, in-band FEC; payload type 111), the legs spread evenly over 20 ms, until standard input ends, S
 * seconds at most; prints one line of JSON with what was sent, what came back, and when it did by the kernel's stamps.
 * Ends with 0, or with 1 and a line that says why.
 *
 * Many legs share a socket, so that the far ends cost the machine less than the server that is measured. Times of
 * arrival are the kernel's (SO_TIMESTAMPNS), taken while the sender's system call runs: how busy this process is does
 * not show in them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <opus/opus.h>
#include <srtp2/srtp.h>

#include "oh_g711.h"
#include "oh_rtp.h"
#include "srtp_cipher.h"

#define SOCKETS     64u
#define MOST_LEGS   16000u
#define PACKET      160u /* samples: 20 ms */
#define ROUND       50u  /* packets: a second of speech, said again and again */
#define WIDE_HZ     48000u
#define WIDE        (WIDE_HZ / 50u)
#define OPUS_PT     111u
#define PERIOD_NS   20000000ll
#define DATAGRAM    512u
#define BATCH       64u
#define KEY_MOST    46u /* bytes: the longest master key and salt */
#define STREAMS     65536u /* slots of the table of streams heard; a power of two */
#define SPEECH_MOST 400u /* bytes of a packet's sound */
#define STEP_US     20.0 /* of the histogram of intervals ... */
#define STEPS       2000u /* ... which so reaches to 40 ms */
#define RECEIVE_BYTES (8 * 1024 * 1024)

struct sound { /* a packet's */
	uint32_t len;
	uint8_t  data[SPEECH_MOST];
};

struct leg {
	struct sockaddr_in to;
	uint32_t           ssrc;
	uint32_t           at; /* the next sound */
	uint32_t           timestamp;
	uint16_t           seq;
	srtp_t             out;
};

struct stream { /* what the server sends, by its SSRC */
	uint32_t ssrc;
	uint32_t socket;
	bool     used;
	uint16_t seq;
	int64_t  came_ns;
};

static struct {
	uint32_t          legs, seconds, warm;
	bool              secure, opus;
	srtp_crypto_policy_t rtp, rtcp;
	size_t            key_len;
	int               fds[SOCKETS];
	struct leg       *leg;
	srtp_t            in[SOCKETS];
	struct stream     streams[STREAMS];
	struct sound      speech[ROUND];
	_Atomic bool      enough; /* nothing more is sent */
	_Atomic bool      over;
	_Atomic bool      counting;
	/* sender */
	uint64_t          sent, send_errors;
	int64_t           send_late_ns; /* the worst */
	/* receiver */
	uint64_t          came, lost, backwards, unauthentic, heard;
	uint64_t          intervals[STEPS];
} all;

static void die(const char *what)
{
	(void)fprintf(stderr, "legs: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- the far ends' keys */

static void choose_suite(const char *name)
{
	static const struct {
		const char *name;
		size_t      key_len;
		void (*rtp)(srtp_crypto_policy_t *);
		void (*rtcp)(srtp_crypto_policy_t *);
	} suites[] = {
		{"AES_CM_128_HMAC_SHA1_80", 30, srtp_crypto_policy_set_rtp_default, srtp_crypto_policy_set_rtcp_default},
		{"AES_CM_128_HMAC_SHA1_32", 30, srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
		 srtp_crypto_policy_set_rtcp_default},
		{"AEAD_AES_128_GCM", 28, srtp_crypto_policy_set_aes_gcm_128_16_auth, srtp_crypto_policy_set_aes_gcm_128_16_auth},
		{"AEAD_AES_256_GCM", 44, srtp_crypto_policy_set_aes_gcm_256_16_auth, srtp_crypto_policy_set_aes_gcm_256_16_auth},
	};

	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (strcmp(name, suites[i].name) != 0)
			continue;
		suites[i].rtp(&all.rtp);
		suites[i].rtcp(&all.rtcp);
		all.key_len = suites[i].key_len;
		all.secure = true;
		if (srtp_init() == srtp_err_status_ok && oh_srtp_ciphers_install() == 0) /* as quick as the core's */
			return;
	}
	errno = EINVAL;
	die(name);
}

static void unhex(const char *text, uint8_t *key)
{
	if (strlen(text) != 2 * all.key_len) {
		errno = EINVAL;
		die("a key is of another length");
	}
	for (size_t i = 0; i < all.key_len; i++) {
		unsigned byte;

		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			die("a key is not hexadecimal");
		key[i] = (uint8_t)byte;
	}
}

static void open_keys(srtp_t *made, uint8_t *key, srtp_ssrc_type_t whose)
{
	srtp_policy_t policy;

	memset(&policy, 0, sizeof(policy));
	policy.rtp = all.rtp;
	policy.rtcp = all.rtcp;
	policy.key = key;
	policy.ssrc.type = whose;
	policy.window_size = 128;
	if (srtp_create(made, &policy) != srtp_err_status_ok)
		die("keys refused");
}

/* --- sending */

struct batch {
	struct mmsghdr messages[BATCH];
	struct iovec   parts[BATCH];
	uint8_t        data[BATCH][DATAGRAM];
	unsigned       n;
};

static void flush(struct batch *batch, int fd)
{
	unsigned done = 0;

	while (done < batch->n) {
		int sent = sendmmsg(fd, batch->messages + done, batch->n - done, 0);

		if (sent <= 0) {
			all.send_errors++;
			done++;
			continue;
		}
		done += (unsigned)sent;
		all.sent += (unsigned)sent;
	}
	batch->n = 0;
}

static void put(struct batch *batch, struct leg *leg)
{
	const struct sound *sound = &all.speech[leg->at++ % ROUND];
	struct oh_rtp       head = {.ssrc = leg->ssrc, .seq = leg->seq++, .timestamp = leg->timestamp};
	uint8_t            *data = batch->data[batch->n];
	int                 len = (int)(OH_RTP_HEADER + sound->len);

	head.payload_type = all.opus ? OPUS_PT : 0;
	(void)oh_rtp_build(data, DATAGRAM, &head);
	memcpy(data + OH_RTP_HEADER, sound->data, sound->len);
	leg->timestamp += all.opus ? WIDE : PACKET;
	if (all.secure && srtp_protect(leg->out, data, &len) != srtp_err_status_ok)
		die("a packet could not be protected");
	batch->parts[batch->n] = (struct iovec){data, (size_t)len};
	batch->messages[batch->n].msg_hdr =
	        (struct msghdr){.msg_name = &leg->to, .msg_namelen = sizeof(leg->to), .msg_iov = &batch->parts[batch->n], .msg_iovlen = 1};
	batch->n++;
}

static void *send_all(void *unused)
{
	static struct batch batch;
	int64_t             start_ns = now_ns() + PERIOD_NS;
	uint64_t            rounds = (uint64_t)all.seconds * 50u;

	(void)unused;
	for (uint64_t round = 0; round < rounds && !atomic_load(&all.enough); round++) {
		/* Legs of one socket leave one after the other: 64 sockets, each with its moment in the 20 ms. */
		for (uint32_t s = 0; s < SOCKETS; s++) {
			int64_t         due_ns = start_ns + (int64_t)round * PERIOD_NS + (int64_t)s * PERIOD_NS / SOCKETS;
			struct timespec due = {due_ns / 1000000000, due_ns % 1000000000};
			int64_t         late_ns;

			while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
				continue;
			late_ns = now_ns() - due_ns;
			if (late_ns > all.send_late_ns)
				all.send_late_ns = late_ns;
			for (uint32_t i = s; i < all.legs; i += SOCKETS) {
				put(&batch, &all.leg[i]);
				if (batch.n == BATCH)
					flush(&batch, all.fds[s]);
			}
			flush(&batch, all.fds[s]);
		}
		if (round == (uint64_t)all.warm * 50u)
			atomic_store(&all.counting, true);
	}
	atomic_store(&all.counting, false);
	return NULL;
}

/* --- receiving */

static struct stream *stream_of(uint32_t socket, uint32_t ssrc)
{
	for (uint32_t i = ssrc * 2654435761u;; i++) {
		struct stream *stream = &all.streams[i % STREAMS];

		if (!stream->used || (stream->ssrc == ssrc && stream->socket == socket))
			return stream;
	}
}

static void heard(uint32_t socket, uint32_t ssrc, uint16_t seq, int64_t came_ns)
{
	struct stream *stream = stream_of(socket, ssrc);
	bool           first = !stream->used;
	int            ahead = oh_seq_diff(seq, stream->seq);
	bool           counting = atomic_load_explicit(&all.counting, memory_order_relaxed);

	if (first) {
		*stream = (struct stream){.ssrc = ssrc, .socket = socket, .used = true};
		all.heard++;
	} else if (ahead <= 0) {
		all.backwards++;
		return;
	} else if (counting) {
		double   off_us = fabs((double)(came_ns - stream->came_ns - ahead * PERIOD_NS)) / 1e3;
		uint32_t step = (uint32_t)(off_us / STEP_US);

		all.lost += (uint64_t)ahead - 1u;
		all.intervals[step < STEPS ? step : STEPS - 1u]++;
	}
	if (counting)
		all.came++;
	stream->seq = seq;
	stream->came_ns = came_ns;
}

static int64_t stamp_of(struct msghdr *message)
{
	for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control != NULL; control = CMSG_NXTHDR(message, control)) {
		struct timespec when;

		if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_TIMESTAMPNS) {
			memcpy(&when, CMSG_DATA(control), sizeof(when));
			return (int64_t)when.tv_sec * 1000000000 + when.tv_nsec;
		}
	}
	return 0;
}

static void take(uint32_t socket)
{
	static struct mmsghdr messages[BATCH];
	static struct iovec   parts[BATCH];
	static uint8_t        data[BATCH][2048];
	static union {
		struct cmsghdr align;
		char           space[CMSG_SPACE(sizeof(struct timespec))];
	} controls[BATCH];
	int n;

	for (size_t i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){data[i], sizeof(data[i])};
		messages[i].msg_hdr = (struct msghdr){
		        .msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = &controls[i], .msg_controllen = sizeof(controls[i])};
	}
	n = recvmmsg(all.fds[socket], messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		struct oh_rtp rtp;
		int           len = (int)messages[i].msg_len;

		if (len > 1 && data[i][1] >= 192 && data[i][1] <= 223) /* a report */
			continue;
		if (all.secure && srtp_unprotect(all.in[socket], data[i], &len) != srtp_err_status_ok) {
			all.unauthentic++;
			continue;
		}
		if (oh_rtp_parse(&rtp, data[i], (size_t)len) == 0)
			heard(socket, rtp.ssrc, rtp.seq, stamp_of(&messages[i].msg_hdr));
	}
}

static void *take_all(void *unused)
{
	struct pollfd polls[SOCKETS];

	(void)unused;
	for (uint32_t s = 0; s < SOCKETS; s++)
		polls[s] = (struct pollfd){.fd = all.fds[s], .events = POLLIN};
	while (!atomic_load(&all.over)) {
		if (poll(polls, SOCKETS, 100) <= 0)
			continue;
		for (uint32_t s = 0; s < SOCKETS; s++) {
			if (polls[s].revents != 0)
				take(s);
		}
		/* A little sleep, so that packets come by the dozen: their times are the kernel's. */
		(void)nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	return NULL;
}

/* --- start and end */

static void *wait_for_end(void *unused)
{
	(void)unused;
	while (getchar() != EOF)
		continue;
	atomic_store(&all.enough, true);
	return NULL;
}

static void open_sockets(void)
{
	int bytes = RECEIVE_BYTES, on = 1;

	(void)printf("{\"ports\": [");
	for (uint32_t s = 0; s < SOCKETS; s++) {
		struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t          len = sizeof(here);

		all.fds[s] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (all.fds[s] < 0 || bind(all.fds[s], (struct sockaddr *)&here, sizeof(here)) < 0 ||
		    getsockname(all.fds[s], (struct sockaddr *)&here, &len) < 0)
			die("no socket");
		if (setsockopt(all.fds[s], SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
			(void)setsockopt(all.fds[s], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
		(void)setsockopt(all.fds[s], SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
		(void)printf("%s%u", s == 0 ? "" : ", ", ntohs(here.sin_port));
	}
	(void)printf("]}\n");
	(void)fflush(stdout);
}

static void read_legs(void)
{
	char line[256];

	for (uint32_t i = 0; i < all.legs; i++) {
		struct leg *leg = &all.leg[i];
		char        send[2 * KEY_MOST + 1] = "", receive[2 * KEY_MOST + 1] = "";
		uint8_t     key[KEY_MOST];
		unsigned    port;

		if (fgets(line, sizeof(line), stdin) == NULL || sscanf(line, "%u %92s %92s", &port, send, receive) < 1)
			die("a leg's line is missing");
		leg->to = (struct sockaddr_in){
		        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		leg->ssrc = 0x4c454700u + i;
		leg->timestamp = i * 37u;
		leg->at = i;
		if (!all.secure)
			continue;
		unhex(send, key);
		open_keys(&leg->out, key, ssrc_any_outbound);
		if (i >= SOCKETS)
			continue; /* legs of one socket are given one key to receive by */
		unhex(receive, key);
		open_keys(&all.in[i], key, ssrc_any_inbound);
	}
}

/* A voice-like sound: harmonics of 120 Hz up to `most`, that come and go four times a second. */
static double voice(double t, int most)
{
	double sum = 0;

	for (int h = 1; h <= most; h++)
		sum += sin(2 * M_PI * 120 * h * t) / h;
	return 6000 * sum * (0.5 + 0.5 * sin(2 * M_PI * 4 * t));
}

static void code_opus(void)
{
	int          error;
	OpusEncoder *opus = opus_encoder_create((opus_int32)WIDE_HZ, 1, OPUS_APPLICATION_VOIP, &error);
	int16_t      pcm[WIDE];

	if (opus == NULL || opus_encoder_ctl(opus, OPUS_SET_BITRATE(32000)) != OPUS_OK ||
	    opus_encoder_ctl(opus, OPUS_SET_INBAND_FEC(1)) != OPUS_OK) {
		errno = ENOMEM;
		die("no Opus encoder");
	}
	for (uint32_t i = 0; i < 2 * ROUND; i++) { /* the second time round is kept: it goes on from the end of the first */
		struct sound *sound = &all.speech[i % ROUND];
		opus_int32    len;

		for (uint32_t n = 0; n < WIDE; n++)
			pcm[n] = (int16_t)voice((double)(i % ROUND * WIDE + n) / WIDE_HZ, 80);
		len = opus_encode(opus, pcm, (int)WIDE, sound->data, SPEECH_MOST);
		if (len <= 0) {
			errno = EINVAL;
			die("no Opus packet");
		}
		sound->len = (uint32_t)len;
	}
	opus_encoder_destroy(opus);
}

static void make_speech(void)
{
	if (all.opus) {
		code_opus();
		return;
	}
	for (uint32_t i = 0; i < ROUND * PACKET; i++) {
		struct sound *sound = &all.speech[i / PACKET];

		sound->len = PACKET;
		sound->data[i % PACKET] = oh_linear_to_ulaw((int16_t)voice(i / 8000.0, 12));
	}
}

static double interval_us(double share)
{
	uint64_t total = 0, seen = 0;

	for (uint32_t i = 0; i < STEPS; i++)
		total += all.intervals[i];
	for (uint32_t i = 0; i < STEPS; i++) {
		seen += all.intervals[i];
		if ((double)seen >= share * (double)total)
			return (i + 1) * STEP_US;
	}
	return STEPS * STEP_US;
}

int main(int argc, char **argv)
{
	pthread_t sender, receiver, waiter;

	all.seconds = 10;
	all.warm = 2;
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--legs") == 0)
			all.legs = (uint32_t)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seconds") == 0)
			all.seconds = (uint32_t)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--warm") == 0)
			all.warm = (uint32_t)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--codec") == 0)
			all.opus = strcmp(argv[i + 1], "opus") == 0;
		else if (strcmp(argv[i], "--suite") == 0)
			choose_suite(argv[i + 1]);
	}
	if (all.legs == 0 || all.legs > MOST_LEGS || all.seconds <= all.warm) {
		(void)fprintf(stderr, "legs: --legs 1 to %u, --seconds more than --warm\n", MOST_LEGS);
		return 1;
	}
	all.leg = calloc(all.legs, sizeof(*all.leg));
	if (all.leg == NULL)
		die("no memory");
	make_speech();
	open_sockets();
	read_legs();
	if (pthread_create(&receiver, NULL, take_all, NULL) != 0 || pthread_create(&sender, NULL, send_all, NULL) != 0 ||
	    pthread_create(&waiter, NULL, wait_for_end, NULL) != 0 || pthread_detach(waiter) != 0)
		die("no thread");
	(void)pthread_join(sender, NULL);
	(void)nanosleep(&(struct timespec){0, 200000000}, NULL);
	atomic_store(&all.over, true);
	(void)pthread_join(receiver, NULL);
	(void)printf("{\"sent\": %llu, \"send_errors\": %llu, \"send_late_ms\": %.3f, \"streams\": %llu, \"came\": %llu, "
	             "\"lost\": %llu, \"backwards\": %llu, \"unauthentic\": %llu, \"interval_p50_us\": %.0f, "
	             "\"interval_p99_us\": %.0f, \"interval_p999_us\": %.0f}\n",
	             (unsigned long long)all.sent, (unsigned long long)all.send_errors, (double)all.send_late_ns / 1e6,
	             (unsigned long long)all.heard, (unsigned long long)all.came, (unsigned long long)all.lost,
	             (unsigned long long)all.backwards, (unsigned long long)all.unauthentic, interval_us(0.5),
	             interval_us(0.99), interval_us(0.999));
	return 0;
}
