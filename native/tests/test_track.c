/* test_track.c - WAV tracks: placement, headers that are never ahead of the file, faults, and death. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "oh_track.h"

#define SECOND 1000000000ll

static char folder[] = "/tmp/oh_track.XXXXXX";
static char path[sizeof(folder) + 32];

static uint32_t rate_hz = 8000;

static const char *new_path(void)
{
	static int count;

	snprintf(path, sizeof(path), "%s/%d.wav", folder, count++);
	return path;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Read the file as a player does: by its header. Returns the number of samples, at most `cap` of them in pcm. */
static size_t play(int16_t *pcm, size_t cap)
{
	uint8_t     head[44];
	struct stat is;
	FILE       *file = fopen(path, "rb");

	CHECK(file != NULL);
	CHECK_INT(fread(head, 1, 44, file), 44);
	CHECK(memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WAVEfmt ", 8) == 0 && memcmp(head + 36, "data", 4) == 0);
	CHECK_INT(get32(head + 16), 16);
	CHECK_INT(head[20], 1);
	CHECK_INT(head[22], 1);
	CHECK_INT(get32(head + 24), rate_hz);
	CHECK_INT(get32(head + 28), 2 * rate_hz);
	CHECK_INT(head[34], 16);
	CHECK_INT(get32(head + 4), get32(head + 40) + 36);
	CHECK_INT(fstat(fileno(file), &is), 0);
	CHECK(is.st_size >= 44 + (off_t)get32(head + 40));

	size_t n = get32(head + 40) / 2;

	CHECK_INT(fread(pcm, 2, n < cap ? n : cap, file), n < cap ? n : cap);
	fclose(file);
	return n;
}

static int16_t ramp[8000], heard[40000];

static void samples_lie_where_they_were_placed_in_any_order(void)
{
	struct oh_track track;

	CHECK_INT(oh_track_open(&track, new_path(), rate_hz, 0), 0);
	CHECK_INT(oh_track_write(&track, 1000, ramp, 160, 0), 0);
	CHECK_INT(oh_track_write(&track, 1320, ramp + 320, 160, 0), 0);
	CHECK_INT(oh_track_write(&track, 1160, ramp + 160, 160, 0), 0); /* a late packet */
	CHECK_INT(oh_track_write(&track, 1160, ramp + 160, 0, 0), 0);
	CHECK_INT(oh_track_close(&track), 0);
	CHECK_INT(play(heard, 40000), 1480);
	for (int i = 0; i < 1000; i++)
		CHECK_INT(heard[i], 0);
	CHECK(memcmp(heard + 1000, ramp, 480 * sizeof(*ramp)) == 0);
}

static void the_header_is_never_older_than_a_second_nor_ahead_of_the_file(void)
{
	struct oh_track track;

	CHECK_INT(oh_track_open(&track, new_path(), rate_hz, 0), 0);
	CHECK_INT(play(heard, 40000), 0);
	for (int i = 0; i < 100; i++) { /* two seconds in packets */
		CHECK_INT(oh_track_write(&track, (uint64_t)i * 160, ramp, 160, i * SECOND / 50), 0);
		size_t n = play(heard, 40000);

		CHECK(n <= (size_t)(i + 1) * 160 && n + 50 * 160 >= (size_t)(i + 1) * 160);
	}
	CHECK_INT(oh_track_refresh(&track, 10 * SECOND), 0); /* no more writes, but time passes */
	CHECK_INT(play(heard, 40000), 16000);
	CHECK_INT(oh_track_close(&track), 0);
}

static void a_killed_writer_leaves_a_file_that_plays(void)
{
	int to_us[2];

	new_path();
	CHECK_INT(pipe(to_us), 0);
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		struct oh_track track;

		if (oh_track_open(&track, path, rate_hz, 0))
			_exit(1);
		for (int i = 0;; i++) {
			if (oh_track_write(&track, (uint64_t)i * 160, ramp, 160, i * SECOND / 50))
				_exit(1);
			if (i == 200 && write(to_us[1], "x", 1) != 1)
				_exit(1);
			if (i > 200)
				usleep(1000);
		}
	}
	char byte;

	CHECK_INT(read(to_us[0], &byte, 1), 1);
	CHECK_INT(kill(child, SIGKILL), 0);
	CHECK_INT(waitpid(child, NULL, 0), child);
	close(to_us[0]);
	close(to_us[1]);

	size_t n = play(heard, 40000);

	CHECK(n >= (200 - 50) * 160);
	for (size_t i = 0; i < n && i < 40000; i++)
		CHECK_INT(heard[i], ramp[i % 160]);
}

static void a_recording_is_never_overwritten(void)
{
	struct oh_track track, second;

	CHECK_INT(oh_track_open(&track, new_path(), rate_hz, 0), 0);
	CHECK_INT(oh_track_open(&second, path, rate_hz, 0), -EEXIST);
	CHECK_INT(oh_track_write(&second, 0, ramp, 1, 0), -EBADF);
	CHECK_INT(oh_track_close(&track), 0);
	CHECK_INT(oh_track_open(&second, "/nowhere/at/all.wav", rate_hz, 0), -ENOENT);
}

static void a_hole_is_silent_and_what_follows_keeps_its_place(void)
{
	struct oh_track track;

	CHECK_INT(oh_track_open(&track, new_path(), rate_hz, 0), 0);
	CHECK_INT(oh_track_write(&track, 0, ramp + 1, 160, 0), 0);
	CHECK_INT(oh_track_write(&track, 320, ramp + 1, 160, 0), 0);
	CHECK_INT(oh_track_extend(&track, 600), 0);
	CHECK_INT(oh_track_extend(&track, 10), 0); /* shorter than it is: nothing to do */
	CHECK_INT(oh_track_close(&track), 0);
	CHECK_INT(play(heard, 40000), 600);
	CHECK(memcmp(heard, ramp + 1, 320) == 0 && memcmp(heard + 320, ramp + 1, 320) == 0);
	for (int i = 160; i < 320; i++)
		CHECK_INT(heard[i], 0);
	for (int i = 480; i < 600; i++)
		CHECK_INT(heard[i], 0);
}

static void four_gibibytes_are_an_error_and_not_a_wrap(void)
{
	struct oh_track track;

	CHECK_INT(oh_track_open(&track, new_path(), rate_hz, 0), 0);
	CHECK_INT(oh_track_write(&track, 0, ramp, 160, 0), 0);
	CHECK_INT(oh_track_write(&track, OH_TRACK_MAX_SAMPLES - 10, ramp, 11, 0), -EFBIG);
	CHECK_INT(oh_track_write(&track, UINT64_MAX - 5, ramp, 160, 0), -EFBIG);
	CHECK_INT(oh_track_extend(&track, OH_TRACK_MAX_SAMPLES + 1ull), -EFBIG);
	CHECK_INT(oh_track_write(&track, OH_TRACK_MAX_SAMPLES - 10, ramp, 10, 0), 0); /* a sparse file */
	CHECK_INT(oh_track_close(&track), 0);
	CHECK_INT(play(heard, 100), OH_TRACK_MAX_SAMPLES);
	unlink(path);
}

static void a_full_disk_harms_nothing_that_is_there_and_heals(void)
{
	struct oh_track track;
	struct rlimit   was, tight;

	signal(SIGXFSZ, SIG_IGN);
	CHECK_INT(getrlimit(RLIMIT_FSIZE, &was), 0);
	CHECK_INT(oh_track_open(&track, new_path(), rate_hz, 0), 0);
	CHECK_INT(oh_track_write(&track, 0, ramp, 160, 0), 0);
	tight = was;
	tight.rlim_cur = 44 + 2 * 200;
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &tight), 0);
	CHECK_INT(oh_track_write(&track, 160, ramp + 160, 160, 0), -EFBIG); /* 40 of them still fit */
	CHECK_INT(oh_track_write(&track, 320, ramp + 320, 160, 2 * SECOND), -EFBIG);
	CHECK_INT(oh_track_refresh(&track, 4 * SECOND), 0);
	CHECK_INT(play(heard, 40000), 200);
	CHECK(memcmp(heard, ramp, 400) == 0);
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &was), 0);
	CHECK_INT(oh_track_write(&track, 320, ramp + 320, 160, 5 * SECOND), 0);
	CHECK_INT(oh_track_close(&track), 0);
	CHECK_INT(play(heard, 40000), 480);
	CHECK(memcmp(heard + 320, ramp + 320, 320) == 0);
}

static void closing_twice_is_harmless_and_a_closed_track_says_so(void)
{
	struct oh_track track;

	CHECK_INT(oh_track_open(&track, new_path(), rate_hz, 0), 0);
	CHECK_INT(oh_track_close(&track), 0);
	CHECK_INT(oh_track_close(&track), 0);
	CHECK_INT(oh_track_write(&track, 0, ramp, 1, 0), -EBADF);
	CHECK_INT(oh_track_refresh(&track, 0), -EBADF);
	CHECK_INT(oh_track_extend(&track, 5), -EBADF);
}

static void a_track_may_have_sixteen_thousand_samples_a_second(void)
{
	rate_hz = 16000;
	samples_lie_where_they_were_placed_in_any_order();
	rate_hz = 8000;
}

int main(void)
{
	for (int i = 0; i < 8000; i++)
		ramp[i] = (int16_t)i;
	CHECK(mkdtemp(folder) != NULL);
	RUN(samples_lie_where_they_were_placed_in_any_order);
	RUN(a_track_may_have_sixteen_thousand_samples_a_second);
	RUN(the_header_is_never_older_than_a_second_nor_ahead_of_the_file);
	RUN(a_killed_writer_leaves_a_file_that_plays);
	RUN(a_recording_is_never_overwritten);
	RUN(a_hole_is_silent_and_what_follows_keeps_its_place);
	RUN(four_gibibytes_are_an_error_and_not_a_wrap);
	RUN(a_full_disk_harms_nothing_that_is_there_and_heals);
	RUN(closing_twice_is_harmless_and_a_closed_track_says_so);

	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	CHECK_INT(system(command), 0);
	return 0;
}
