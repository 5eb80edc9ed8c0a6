/*
 * test_meetings.c - every place where the core's threads meet each other and everybody else, all at once: for the thread
 * sanitizer (cmake -DOH_SANITIZE=thread), which sees a race that no test would ever lose.
 *
 *   test_meetings [SECONDS]      how long the threads are at it; 2 where left out
 *
 * Three threads run calls from opening to closing, with packets from sockets of their own; one reads events, one counts,
 * loads prompts and attaches segments, one is the speech worker. What the core answers must be the right thing or a
 * refusal that it names. (The slots' memory is mapped twice, as between processes, where no sanitizer can look; its
 * cursors are atomic by their type.)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "oh_core.h"
#include "oh_rtp.h"
#include "oh_slots.h"

#define CALLERS 3u
#define SLOTS   4u
#define PACKETS 40u

static struct oh_core   *core;
static _Atomic bool      over;
static _Atomic uint32_t  lately[CALLERS];  /* the port each caller has, or had */
static _Atomic uint64_t  kinds[OH_EVENT_QUALITY + 1];
static _Atomic uint64_t  calls;
static _Atomic uint32_t  prompt;
static _Atomic uint32_t  room;
static uint32_t          mapped;
static int               segment_fd;
static char              folder[] = "/tmp/oh-meetings-XXXXXX";

static void nap(long us)
{
	struct timespec moment = {0, us * 1000};

	(void)nanosleep(&moment, NULL);
}

/* Done, or refused for a reason that others may have given. */
static void may(int result, int refusal)
{
	if (result != 0 && result != refusal) {
		fprintf(stderr, "the core answered %d, where 0 or %d were right\n", result, refusal);
		exit(1);
	}
}

/* --- callers */

struct caller {
	unsigned           number;
	int                fd;
	struct sockaddr_in at; /* where the core listens for it */
	uint16_t           seq;
	uint32_t           ssrc;
};

static void send_packets(struct caller *caller, unsigned n)
{
	uint8_t       data[OH_RTP_HEADER + 160];
	struct oh_rtp head = {.ssrc = caller->ssrc};

	memset(data, 0xd5, sizeof(data));
	for (unsigned i = 0; i < n; i++) {
		head.seq = caller->seq++;
		head.timestamp = 160u * head.seq;
		CHECK_INT(oh_rtp_build(data, sizeof(data), &head), 0);
		CHECK(sendto(caller->fd, data, sizeof(data), 0, (struct sockaddr *)&caller->at, sizeof(caller->at)) > 0);
		nap(200);
	}
}

static void send_report(struct caller *caller)
{
	uint8_t            report[8] = {0x80, 201, 0, 1, 0, 0, 0, (uint8_t)caller->number};
	struct sockaddr_in at = caller->at;

	at.sin_port = htons((uint16_t)(ntohs(at.sin_port) + 1u));
	CHECK(sendto(caller->fd, report, sizeof(report), 0, (struct sockaddr *)&at, sizeof(at)) > 0);
}

static void swallow(struct caller *caller)
{
	uint8_t data[2048];

	while (recv(caller->fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		continue;
}

static void run_call(struct caller *caller)
{
	struct sockaddr_in      ours;
	socklen_t               size = sizeof(ours);
	struct oh_port_counters counters;
	struct oh_remote        remote = {
		.codec = OH_CODEC_ULAW, .digits_pt = 101, .digits_rate_hz = 8000, .packet_ms = 20, .send = true, .receive = true};
	uint16_t                rtp_port;
	uint32_t                port, epoch, play;
	int64_t                 opened_ns;
	uint64_t                played;
	char                    paths[2][80];
	uint32_t                other = atomic_load(&lately[(caller->number + 1u) % CALLERS]);

	CHECK_INT(getsockname(caller->fd, (struct sockaddr *)&ours, &size), 0);
	remote.ip = ours.sin_addr.s_addr;
	remote.rtp_port = ntohs(ours.sin_port);
	CHECK_INT(oh_port_open(core, &port, &rtp_port, &opened_ns), 0);
	atomic_store(&lately[caller->number], port);
	caller->at.sin_port = htons(rtp_port);
	caller->ssrc++;
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "%s/%u-%u.wav", folder, caller->number, i);
		(void)unlink(paths[i]); /* of the call before; it may still be written */
	}
	CHECK_INT(oh_port_remote(core, port, &remote), 0);
	CHECK_INT(oh_port_record(core, port, paths[0], paths[1]), 0);
	may(oh_port_bind(core, port, mapped, caller->number, &epoch), -EBUSY);
	if (caller->number != 0) /* one has its slot's voice alone */
		may(oh_port_play(core, port, atomic_load(&prompt), false, &play), -ERANGE);
	send_packets(caller, PACKETS / 2);
	if (caller->seq % 4u < 2 && other != 0)
		may(oh_port_bridge(core, port, other), -ENOENT);
	else
		may(oh_port_enter(core, port, atomic_load(&room), OH_HEARD_BY_ALL, 0), -ENOENT);
	if (caller->number != 0)
		CHECK_INT(oh_port_send_digits(core, port, "42", 40), 0);
	send_report(caller);
	CHECK_INT(oh_port_pause_recording(core, port, true), 0);
	send_packets(caller, PACKETS / 2);
	CHECK_INT(oh_port_pause_recording(core, port, false), 0);
	CHECK_INT(oh_port_flush(core, port, &played), 0);
	CHECK_INT(oh_port_counters(core, port, &counters), 0);
	CHECK(counters.packets_in <= PACKETS);
	nap(150000); /* the keys and the prompt leave */
	CHECK_INT(oh_port_leave_rooms(core, port), 0);
	CHECK_INT(oh_port_unbind(core, port), 0);
	CHECK_INT(oh_port_stop(core, port), 0);
	if (caller->seq % 3u != 0) /* else closing does it */
		CHECK_INT(oh_port_stop_recording(core, port), 0);
	CHECK_INT(oh_port_close(core, port), 0);
	CHECK_INT(oh_port_close(core, port), -ENOENT);
	send_packets(caller, 2);
	swallow(caller);
	atomic_fetch_add(&calls, 1);
}

static void *call_main(void *arg)
{
	struct caller caller = {
		.number = *(unsigned *)arg,
		.at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
		.ssrc = 1000u * (*(unsigned *)arg + 1u),
	};
	struct sockaddr_in any = caller.at;

	caller.fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(caller.fd >= 0);
	CHECK_INT(bind(caller.fd, (struct sockaddr *)&any, sizeof(any)), 0);
	while (!atomic_load(&over))
		run_call(&caller);
	(void)close(caller.fd);
	return NULL;
}

/* --- everybody else */

static void *read_main(void *arg)
{
	struct oh_event events[8];
	struct pollfd   waits = {.fd = oh_core_event_fd(core), .events = POLLIN};

	(void)arg;
	while (!atomic_load(&over)) {
		if (poll(&waits, 1, 20) <= 0)
			continue;
		size_t n = oh_core_events(core, events, 8);

		for (size_t i = 0; i < n; i++) {
			CHECK(events[i].kind >= OH_EVENT_DIGIT && events[i].kind <= OH_EVENT_QUALITY);
			atomic_fetch_add(&kinds[events[i].kind], 1);
		}
	}
	return NULL;
}

static void *manage_main(void *arg)
{
	static int16_t          sound[800];
	struct oh_core_counters counters;
	uint32_t                number;

	(void)arg;
	for (size_t i = 0; i < 800; i++)
		sound[i] = (int16_t)(8000 * sin((double)i / 3));
	for (unsigned i = 0; !atomic_load(&over); i++) {
		uint32_t before = atomic_load(&prompt);

		CHECK_INT(oh_prompt_load(core, i + 1u, sound, 800, 8000), 0);
		atomic_store(&prompt, i + 1u);
		CHECK_INT(oh_prompt_drop(core, before), 0); /* while it is played, maybe */
		CHECK_INT(oh_core_counters(core, &counters), 0);
		if (i % 64u == 0) {
			before = atomic_load(&room);
			CHECK_INT(oh_core_room(core, &number), 0);
			atomic_store(&room, number);
			CHECK_INT(oh_core_close_room(core, before), 0); /* with callers in it, maybe */
		}
		if (i < 8)
			CHECK_INT(oh_core_attach(core, segment_fd, &number), 0);
		nap(5000);
	}
	return NULL;
}

static void *speak_main(void *arg)
{
	unsigned char *memory = arg;

	while (!atomic_load(&over)) {
		for (unsigned slot = 0; slot < SLOTS; slot++) {
			struct oh_slot_row *row = (struct oh_slot_row *)(void *)(memory + sizeof(struct oh_slots_header) +
			                                                         slot * sizeof(struct oh_slot_row));
			uint64_t            spoken = atomic_load(&row->spoken);

			if (atomic_load(&row->live) == 0)
				continue;
			atomic_store(&row->speak_epoch, atomic_load(&row->epoch));
			for (unsigned i = 0; i < OH_HOP_SAMPLES; i++)
				row->play[(spoken + i) % OH_RING_SAMPLES] = (int16_t)(4000 - (int)(i % 80u) * 100);
			atomic_store(&row->spoken, spoken + OH_HOP_SAMPLES);
			if (slot == 1) {
				atomic_store(&row->cut_before, spoken);
				atomic_fetch_add(&row->cut_seq, 1);
			}
		}
		nap(20000);
	}
	return NULL;
}

/* --- the whole */

static unsigned char *make_segment(void)
{
	size_t                  size = sizeof(struct oh_slots_header) + SLOTS * sizeof(struct oh_slot_row);
	struct oh_slots_header *header;

	segment_fd = memfd_create("meetings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(segment_fd >= 0);
	CHECK_INT(ftruncate(segment_fd, (off_t)size), 0);
	CHECK_INT(fcntl(segment_fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	header = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, segment_fd, 0);
	CHECK(header != MAP_FAILED);
	header->magic = OH_SLOTS_MAGIC;
	header->version = OH_SLOTS_VERSION;
	header->slots = SLOTS;
	header->stride = sizeof(struct oh_slot_row);
	header->ring_samples = OH_RING_SAMPLES;
	header->rate_hz = OH_SLOT_RATE_HZ;
	return (unsigned char *)header;
}

static void remove_tracks(void)
{
	char path[80];

	for (unsigned i = 0; i < CALLERS; i++) {
		for (unsigned track = 0; track < 2; track++) {
			(void)snprintf(path, sizeof(path), "%s/%u-%u.wav", folder, i, track);
			(void)unlink(path);
		}
	}
	(void)rmdir(folder);
}

int main(int argc, char **argv)
{
	struct oh_core_config config = {.address = "127.0.0.1", .port_low = 40000, .port_high = 49999};
	struct timespec       lasts = {argc > 1 ? strtol(argv[1], NULL, 10) : 2, 0};
	unsigned              numbers[CALLERS];
	pthread_t             threads[CALLERS + 3];
	struct oh_event       events[64];
	unsigned char        *memory;

	CHECK(mkdtemp(folder) != NULL);
	memory = make_segment();
	CHECK_INT(oh_core_start(&core, &config), 0);
	CHECK_INT(oh_core_attach(core, segment_fd, &mapped), 0);
	CHECK_INT(pthread_create(&threads[CALLERS], NULL, read_main, NULL), 0);
	CHECK_INT(pthread_create(&threads[CALLERS + 1], NULL, manage_main, NULL), 0);
	CHECK_INT(pthread_create(&threads[CALLERS + 2], NULL, speak_main, memory), 0);
	for (unsigned i = 0; i < CALLERS; i++) {
		numbers[i] = i;
		CHECK_INT(pthread_create(&threads[i], NULL, call_main, &numbers[i]), 0);
	}
	(void)nanosleep(&lasts, NULL);
	atomic_store(&over, true);
	for (unsigned i = 0; i < CALLERS + 3; i++)
		CHECK_INT(pthread_join(threads[i], NULL), 0);
	for (size_t n; (n = oh_core_events(core, events, 64)) > 0;)
		for (size_t i = 0; i < n; i++)
			atomic_fetch_add(&kinds[events[i].kind], 1);
	oh_core_stop(core); /* with sockets that drain, and tracks that are being finished */
	(void)close(segment_fd);
	(void)munmap(memory, sizeof(struct oh_slots_header) + SLOTS * sizeof(struct oh_slot_row));
	remove_tracks();
	printf("%" PRIu64 " calls\n", calls);
	CHECK(calls > 0);
	CHECK(kinds[OH_EVENT_MEDIA_STARTED] > 0);
	CHECK(kinds[OH_EVENT_PROMPT_DONE] > 0);
	CHECK(kinds[OH_EVENT_RECORD_CLOSED] > 0);
	CHECK(kinds[OH_EVENT_TALK] > 0);
	CHECK_INT(kinds[OH_EVENT_RECORD_FAILED], 0);
	return 0;
}
