/* test_recording.c - recordings of an engine that has too few blocks for them, as when the disk does not keep up. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "oh_core.h"

#define LEGS   8u
#define BLOCKS 4u /* of the eight tracks with sound half can be kept at a time */
#define LEFT   2u /* legs that go on when the others have ended */

static struct oh_core *core;
static char            folder[] = "/tmp/oh-recording-XXXXXX";
static uint32_t        ports[LEGS];
static unsigned        failed[LEGS], resumed[LEGS], closed[LEGS]; /* events of each leg */

static unsigned leg_of(uint32_t port)
{
	for (unsigned leg = 0; leg < LEGS; leg++) {
		if (ports[leg] == port)
			return leg;
	}
	CHECK(!"an event of no leg of ours");
	return 0;
}

static void path_of(char *path, size_t size, unsigned leg, const char *track)
{
	(void)snprintf(path, size, "%s/%u-%s.wav", folder, leg, track);
}

static void take_events(void)
{
	struct oh_event events[64];
	struct pollfd   wait = {.fd = oh_core_event_fd(core), .events = POLLIN};

	(void)poll(&wait, 1, 100);
	for (size_t n; (n = oh_core_events(core, events, 64)) > 0;) {
		for (size_t i = 0; i < n; i++) {
			if (events[i].kind == OH_EVENT_RECORD_FAILED) {
				CHECK(strstr(events[i].text, "too slow") != NULL);
				failed[leg_of(events[i].port)]++;
			} else if (events[i].kind == OH_EVENT_RECORD_RESUMED) {
				resumed[leg_of(events[i].port)]++;
			} else if (events[i].kind == OH_EVENT_RECORD_CLOSED) {
				closed[leg_of(events[i].port)]++;
			}
		}
	}
}

static bool all_closed(unsigned first, unsigned end)
{
	for (unsigned leg = first; leg < end; leg++) {
		if (closed[leg] == 0)
			return false;
	}
	return true;
}

static bool half_fails(void)
{
	unsigned n = 0;

	for (unsigned leg = 0; leg < LEGS; leg++)
		n += failed[leg] > 0;
	return n >= LEGS - BLOCKS;
}

static bool rest_is_well(void)
{
	for (unsigned leg = LEGS - LEFT; leg < LEGS; leg++) {
		if (failed[leg] != resumed[leg])
			return false;
	}
	return true;
}

static bool others_closed(void)
{
	return all_closed(0, LEGS - LEFT);
}

static bool rest_closed(void)
{
	return all_closed(LEGS - LEFT, LEGS);
}

static void until(bool (*truth)(void))
{
	time_t end = time(NULL) + 20;

	while (!truth()) {
		CHECK(time(NULL) < end);
		take_events();
	}
}

static void begin(uint32_t prompt, int fd)
{
	struct sockaddr_in to;
	socklen_t          size = sizeof(to);
	struct oh_remote   remote = {
	          .codec = OH_CODEC_ULAW, .digits_pt = -1, .digits_rate_hz = 8000, .packet_ms = 20, .send = true, .receive = true};

	CHECK_INT(getsockname(fd, (struct sockaddr *)&to, &size), 0);
	remote.ip = to.sin_addr.s_addr;
	remote.rtp_port = ntohs(to.sin_port);
	for (unsigned leg = 0; leg < LEGS; leg++) {
		uint16_t rtp_port;
		int64_t  opened_ns;
		uint32_t play;
		char     caller[80], agent[80];

		path_of(caller, sizeof(caller), leg, "caller");
		path_of(agent, sizeof(agent), leg, "agent");
		CHECK_INT(oh_port_open(core, &ports[leg], &rtp_port, &opened_ns), 0);
		CHECK_INT(oh_port_remote(core, ports[leg], &remote), 0);
		CHECK_INT(oh_port_record(core, ports[leg], caller, agent), 0);
		CHECK_INT(oh_port_play(core, ports[leg], prompt, true, &play), 0);
	}
}

static void recordings_beyond_the_blocks_have_holes_and_harm_no_call(void)
{
	struct oh_core_config   config = {.address = "127.0.0.1", .port_low = 30000, .port_high = 39999, .blocks = BLOCKS};
	struct oh_core_counters counted;
	struct sockaddr_in      here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int                     fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int16_t                 loud[1600];
	const uint32_t          prompt = 1;
	char                    path[80];
	struct stat             found;

	for (unsigned i = 0; i < 1600; i++)
		loud[i] = i % 20 < 10 ? 8000 : -8000;
	CHECK(fd >= 0);
	CHECK_INT(bind(fd, (struct sockaddr *)&here, sizeof(here)), 0);
	CHECK_INT(oh_core_start(&core, &config), 0);
	CHECK_INT(oh_prompt_load(core, prompt, loud, 1600, 8000), 0);
	begin(prompt, fd);
	until(half_fails);
	CHECK_INT(oh_core_counters(core, &counted), 0);
	CHECK(counted.disk_drops > 0);
	for (unsigned leg = 0; leg < LEGS; leg++) { /* who is not kept is heard all the same */
		struct oh_port_counters of;

		CHECK_INT(oh_port_counters(core, ports[leg], &of), 0);
		CHECK(of.packets_out > 0);
		CHECK_INT(of.send_errors, 0);
		CHECK(failed[leg] == 0 || of.record_dropped > 0);
	}
	for (unsigned leg = 0; leg < LEGS - LEFT; leg++)
		CHECK_INT(oh_port_stop_recording(core, ports[leg]), 0);
	until(others_closed);
	until(rest_is_well);
	for (unsigned leg = LEGS - LEFT; leg < LEGS; leg++)
		CHECK_INT(oh_port_close(core, ports[leg]), 0);
	until(rest_closed);
	oh_core_stop(core);
	(void)close(fd);
	for (unsigned leg = 0; leg < LEGS; leg++) {
		CHECK_INT(closed[leg], 1);
		path_of(path, sizeof(path), leg, "agent");
		CHECK_INT(stat(path, &found), 0);
		CHECK(leg < LEGS - LEFT || found.st_size > 8000); /* it was recorded in the end */
		CHECK_INT(unlink(path), 0);
		path_of(path, sizeof(path), leg, "caller");
		CHECK_INT(unlink(path), 0);
	}
	CHECK_INT(rmdir(folder), 0);
}

static void as_many_blocks_as_no_power_of_two_are_refused(void)
{
	struct oh_core_config config = {.address = "127.0.0.1", .port_low = 30000, .port_high = 39999, .blocks = 5};

	CHECK_INT(oh_core_start(&core, &config), -EINVAL);
}

int main(void)
{
	CHECK(mkdtemp(folder) != NULL);
	RUN(recordings_beyond_the_blocks_have_holes_and_harm_no_call);
	RUN(as_many_blocks_as_no_power_of_two_are_refused);
	return 0;
}
