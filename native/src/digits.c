/* digits.c - telephone keys in RTP, both ways (RFC 4733). */
#include "oh_digits.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	KEYS = 16,
	PER_MS = 8,             /* samples in a millisecond */
	OLDEST_S = 10,          /* a timestamp up to so long back is an old packet, further back a new clock */
	SEGMENT_LONGEST = 0xffff, /* what a duration can say */
	SEGMENT_LEAST = 0xf000, /* a held key's next segment begins about 0xffff after the one before */
	SEGMENT_MOST = 0x10400,
	ENDS = 3,               /* end packets (RFC 4733 section 2.5.1.4) */
	VOLUME = 10,            /* -dBm0 */
};

static const char key_of[KEYS + 1] = "0123456789*#ABCD"; /* RFC 4733 section 3.2 */

/* ---- receiving ---- */

void oh_digits_in_init(struct oh_digits_in *in, uint32_t rate_hz)
{
	memset(in, 0, sizeof(*in));
	in->rate_hz = rate_hz;
}

static void close_press(struct oh_digits_in *in, struct oh_digit *out)
{
	assert(in->open && in->event < KEYS);
	in->open = false;
	*out = (struct oh_digit){
		.key = key_of[in->event],
		.duration_ms = (in->before + in->duration) / (in->rate_hz / 1000u),
		.timestamp = in->start,
	};
}

int oh_digits_receive(struct oh_digits_in *in, const uint8_t *payload, size_t len, uint32_t timestamp, int64_t now_ns,
                      struct oh_digit out[2])
{
	if (len < OH_DIGITS_PAYLOAD)
		return -EBADMSG;

	uint8_t  event = payload[0];
	bool     end = payload[1] & 0x80;
	uint32_t duration = (uint32_t)payload[2] << 8 | payload[3];
	int32_t  ahead = (int32_t)(timestamp - in->timestamp);
	int      count = 0;

	if (event >= KEYS)
		return 0;
	if (in->any && ahead < 0 && ahead > -OLDEST_S * (int32_t)in->rate_hz)
		return 0; /* an older press, reported already */
	if (in->any && ahead == 0) {
		if (!in->open)
			return 0; /* the end packet again */
		if (duration > in->duration)
			in->duration = duration;
	} else {
		bool goes_on = in->open && event == in->event && ahead >= SEGMENT_LEAST && ahead <= SEGMENT_MOST;

		if (goes_on) {
			in->before += (uint32_t)ahead;
		} else {
			if (in->open)
				close_press(in, &out[count++]);
			in->start = timestamp;
			in->before = 0;
			in->event = event;
		}
		in->open = true;
		in->any = true;
		in->timestamp = timestamp;
		in->duration = duration;
	}
	in->seen_ns = now_ns;
	if (end)
		close_press(in, &out[count++]);
	return count;
}

int oh_digits_in_tick(struct oh_digits_in *in, int64_t now_ns, struct oh_digit *out)
{
	if (!in->open || now_ns - in->seen_ns < OH_DIGITS_PATIENCE_NS)
		return 0;
	close_press(in, out);
	return 1;
}

/* ---- sending ---- */

static int event_of(char key)
{
	if (key >= 'a' && key <= 'd')
		key = (char)(key - 'a' + 'A');
	for (int i = 0; i < KEYS; i++)
		if (key_of[i] == key)
			return i;
	return -1;
}

void oh_digits_out_init(struct oh_digits_out *out)
{
	memset(out, 0, sizeof(*out));
	out->volume = VOLUME;
}

int oh_digits_out_queue(struct oh_digits_out *out, const char *keys, unsigned press_ms, unsigned gap_ms)
{
	size_t more = strnlen(keys, OH_DIGITS_MAX + 1u);
	size_t left = strlen(out->keys + out->at);

	if (more == 0 || press_ms < 40 || press_ms > 8000 || gap_ms < 40 || gap_ms > 8000)
		return -EINVAL;
	for (size_t i = 0; i < more; i++)
		if (event_of(keys[i]) < 0)
			return -EINVAL;
	if (left + more > OH_DIGITS_MAX)
		return -ENOSPC;
	memmove(out->keys, out->keys + out->at, left);
	memcpy(out->keys + left, keys, more);
	out->keys[left + more] = 0;
	out->at = 0;
	out->gap = gap_ms * PER_MS;
	out->next_press = press_ms * PER_MS;
	return 0;
}

bool oh_digits_out_busy(const struct oh_digits_out *out)
{
	return out->keys[out->at] != 0;
}

int oh_digits_out_tick(struct oh_digits_out *out, uint32_t now, uint32_t samples, uint32_t rate_hz,
                       struct oh_digits_packet *packet)
{
	const uint32_t ticks = rate_hz / (1000u * PER_MS); /* of the event's clock, in a sample */

	if (!oh_digits_out_busy(out))
		return 0;
	if (out->ends == ENDS) {
		out->quiet += samples;
		if (out->quiet >= out->gap) {
			out->at++;
			out->sent = 0;
			out->ends = 0;
			out->quiet = 0;
		}
		return 0;
	}

	bool first = out->sent == 0;

	if (first) {
		out->press = out->next_press;
		out->timestamp = now;
		out->segment = 0;
	}
	if (out->ends > 0) {
		out->quiet += samples; /* the end said again: the gap has begun */
		out->ends++;
	} else {
		out->sent += samples;
		if (out->sent >= out->press) {
			out->sent = out->press;
			out->ends = first ? 0 : 1; /* a packet as long as the press: its end comes next */
		}
	}

	if ((out->sent - out->segment) * ticks > SEGMENT_LONGEST) { /* RFC 4733 section 2.5.1.3 */
		out->segment += SEGMENT_LONGEST / ticks;
		out->timestamp += SEGMENT_LONGEST / ticks * ticks;
	}

	int      event = event_of(out->keys[out->at]);
	uint32_t duration = (out->sent - out->segment) * ticks;

	assert(event >= 0 && duration <= SEGMENT_LONGEST);
	packet->payload[0] = (uint8_t)event;
	packet->payload[1] = (uint8_t)((out->ends > 0 ? 0x80u : 0u) | (out->volume & 0x3fu));
	packet->payload[2] = (uint8_t)(duration >> 8);
	packet->payload[3] = (uint8_t)duration;
	packet->timestamp = out->timestamp;
	packet->marker = first;
	return 1;
}
