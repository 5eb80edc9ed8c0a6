/* track.c - one side of a call as a WAV file that plays whatever becomes of its writer. */
#include "oh_track.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "WAV samples are little endian, and written as they lie");
_Static_assert(36u + 2ull * OH_TRACK_MAX_SAMPLES <= UINT32_MAX, "the RIFF size has 32 bits");
_Static_assert(sizeof(off_t) == 8, "files past 2 GiB");

static void put32(uint8_t *p, uint64_t v)
{
	assert(v <= UINT32_MAX);
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* Write all of it, or say why not; *done counts the bytes that were written either way. */
static int write_at(int fd, const void *data, size_t len, uint64_t offset, size_t *done)
{
	for (*done = 0; *done < len;) {
		ssize_t n = pwrite(fd, (const uint8_t *)data + *done, len - *done, (off_t)(offset + *done));

		if (n > 0)
			*done += (size_t)n;
		else if (n == 0)
			return -EIO;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int write_header(struct oh_track *track, int64_t now_ns)
{
	uint8_t head[OH_TRACK_HEADER] = {
		'R', 'I', 'F', 'F', 0, 0, 0, 0, 'W', 'A', 'V', 'E', 'f', 'm', 't', ' ', 16, 0, 0, 0, /* 16 bytes of fmt */
		1, 0,                                                                               /* PCM */
		1, 0,                                                                               /* one channel */
		0, 0, 0, 0, 0, 0, 0, 0,                                                             /* rates, below */
		2, 0,                                                                               /* bytes a sample */
		16, 0,                                                                              /* bits a sample */
		'd', 'a', 't', 'a', 0, 0, 0, 0,
	};
	size_t done;

	put32(head + 4, 36 + 2 * track->samples);
	put32(head + 24, track->rate_hz);
	put32(head + 28, 2 * (uint64_t)track->rate_hz);
	put32(head + 40, 2 * track->samples);

	int error = write_at(track->fd, head, sizeof(head), 0, &done);

	if (error)
		return error;
	track->announced = track->samples;
	track->fresh_ns = now_ns;
	return 0;
}

int oh_track_open(struct oh_track *track, const char *path, uint32_t rate_hz, int64_t now_ns)
{
	*track = (struct oh_track){ .fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640),
	                             .rate_hz = rate_hz };
	if (track->fd < 0)
		return -errno;

	int error = write_header(track, now_ns);

	if (error) {
		close(track->fd);
		track->fd = -1;
		unlink(path);
	}
	return error;
}

int oh_track_write(struct oh_track *track, uint64_t at_sample, const int16_t *pcm, size_t n, int64_t now_ns)
{
	size_t done = 0;

	if (track->fd < 0)
		return -EBADF;
	if (at_sample > OH_TRACK_MAX_SAMPLES || n > OH_TRACK_MAX_SAMPLES - at_sample)
		return -EFBIG;
	if (n == 0)
		return 0;

	int error = write_at(track->fd, pcm, n * sizeof(*pcm), OH_TRACK_HEADER + 2 * at_sample, &done);

	if (done / 2 > 0 && at_sample + done / 2 > track->samples)
		track->samples = at_sample + done / 2;
	return error ? error : oh_track_refresh(track, now_ns);
}

int oh_track_refresh(struct oh_track *track, int64_t now_ns)
{
	if (track->fd < 0)
		return -EBADF;
	if (track->announced == track->samples || now_ns - track->fresh_ns < OH_TRACK_REFRESH_NS)
		return 0;
	return write_header(track, now_ns);
}

int oh_track_extend(struct oh_track *track, uint64_t samples)
{
	if (track->fd < 0)
		return -EBADF;
	if (samples > OH_TRACK_MAX_SAMPLES)
		return -EFBIG;
	if (samples <= track->samples)
		return 0;
	if (ftruncate(track->fd, (off_t)(OH_TRACK_HEADER + 2 * samples)) != 0)
		return -errno;
	track->samples = samples;
	return 0;
}

int oh_track_close(struct oh_track *track)
{
	if (track->fd < 0)
		return 0;

	int error = write_header(track, track->fresh_ns);

	if (close(track->fd) != 0 && !error)
		error = -errno;
	track->fd = -1;
	return error;
}
