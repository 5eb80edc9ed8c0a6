/*
 * oh_track.h - one side of a call as a WAV file (mono, 16 bits) that survives the death of its writer.
 *
 * Samples may be placed anywhere, in any order; what nobody wrote is silence (a hole in the file). The sizes in the
 * header never claim more than the file holds and are brought up to date at least twice a second, so that a file whose
 * process was killed plays up to that moment. Nothing is buffered in the process. For a disk thread: calls may block on
 * the disk and must never be made on the packet path. A track is used by one thread at a time.
 *
 * A write beyond RLIMIT_FSIZE raises SIGXFSZ; the process must ignore that signal to get -EFBIG instead.
 */
#ifndef OH_TRACK_H
#define OH_TRACK_H

#include <stddef.h>
#include <stdint.h>

#define OH_TRACK_HEADER      44u           /* bytes before the first sample */
#define OH_TRACK_MAX_SAMPLES 2147483628u   /* (2^32 - 1 - 36) / 2, rounded down a little: what a RIFF size can say */
#define OH_TRACK_REFRESH_NS  500000000ll   /* header brought up to date at least this often */

struct oh_track {
	int      fd;        /* -1: closed */
	uint32_t rate_hz;
	uint64_t samples;   /* length of the file so far, samples (the furthest one placed) */
	uint64_t announced; /* length the header on disk says */
	int64_t  fresh_ns;  /* when the header was last written, CLOCK_MONOTONIC as given by the caller */
};

/*
 * Create the file and write a header of length 0.
 *   rate_hz  samples a second
 *   path  must not exist (recordings are never overwritten); its folder must. Mode 0640.
 * 0; -EEXIST and whatever open(2) and write(2) say, negative. On error nothing stays open, and no file stays behind.
 */
int oh_track_open(struct oh_track *track, const char *path, uint32_t rate_hz, int64_t now_ns);

/*
 * Place n samples so that pcm[0] is the track's sample at_sample. Later writes replace earlier ones.
 * 0; -EFBIG: the file would pass 4 GiB (nothing is
 * written) or RLIMIT_FSIZE; -ENOSPC, -EIO, ... : as write(2) says; what was there is unharmed and the track may be
 * written again later; -EBADF: closed.
 */
int oh_track_write(struct oh_track *track, uint64_t at_sample, const int16_t *pcm, size_t n, int64_t now_ns);

/* Bring the header up to date if it is half a second old. Call at least twice a second. 0 or a negative errno. */
int oh_track_refresh(struct oh_track *track, int64_t now_ns);

/*
 * Make the track at least this long (silence at its end). 0, -EFBIG, -EBADF or what ftruncate(2) says.
 */
int oh_track_extend(struct oh_track *track, uint64_t samples);

/*
 * Final header, and close. 0 or a negative errno: then the file is closed all the same and plays up to the last
 * header that could be written. Closing twice is harmless.
 */
int oh_track_close(struct oh_track *track);

#endif
