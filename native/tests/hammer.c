/*
 * hammer.c - the core under everything at once: what oh_core.h offers, asked by chance from four threads, on ports to
 * which two more threads send every kind of packet; for the address and the thread sanitizer.
 *
 *   hammer [SECONDS [SEED]]      10 seconds and a seed by the clock, where left out
 *
 * It says its seed first. The same seed asks the same things in the same order in each thread; how the threads meet
 * is the machine's to choose, so that what one run finds another may need several to find again.
 *
 * After a few seconds, or thirty, the core is stopped, amid packets, calls and tracks, and another is started; and four
 * times in each such round the pace changes, for some faults need a call to be rebuilt a hundred times, others that it is
 * left alone for a while. What it finds it ends with: a sanitizer's report, a failed assertion, or an answer that oh_core.h does not name. It ends
 * well where each verb has been done at least once, packets went both ways, and the core found nothing amiss.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hammer.h"

#define HASTE    100u /* the first things asked of a core, so that there is something to leave alone */
#define LONGER   6    /* times as long as was asked for, where some verb has not been done by then */

#define SECOND   1000000000ll
static const int64_t rounds_s[] = {2, 4, 8, 30};
static const long    naps_us[][4] = {{0, 0, 1000, 5000}, {5000, 10000, 50000, 100000}, {50000, 100000, 200000, 300000}};

static void *ask_main(void *arg)
{
	struct asker *asker = arg;

	for (uint32_t asked = 0; !atomic_load(&asker->board->over); asked++) {
		uint32_t    scene = (uint32_t)(now_ns() / asker->board->scene_ns);
		struct dice chance = dice_of(asker->board->seed + scene, ASKERS + SENDERS);
		uint32_t    pace = asked < HASTE ? 0 : below(&chance, 3);

		asker->calm = pace == 2;
		ask(asker);
		nap_us(naps_us[pace][below(&asker->dice, 4)]);
	}
	return NULL;
}

static void *send_main(void *arg)
{
	while (send_some(arg))
		continue;
	return NULL;
}

static void *read_main(void *arg)
{
	struct board      *board = arg;
	struct oh_event    events[16];
	struct oh_datagram datagrams[4];
	struct pollfd      waits = {.fd = oh_core_event_fd(board->core), .events = POLLIN};

	while (!atomic_load(&board->over)) {
		size_t n;

		if (poll(&waits, 1, 20) <= 0)
			continue;
		n = oh_core_events(board->core, events, 16);
		for (size_t i = 0; i < n; i++) {
			CHECK(events[i].kind >= OH_EVENT_DIGIT && events[i].kind <= OH_EVENT_QUALITY && events[i].port != 0);
			CHECK(events[i].kind == OH_EVENT_QUALITY || memchr(events[i].text, 0, OH_EVENT_TEXT) != NULL);
		}
		n = oh_core_datagrams(board->core, datagrams, 4);
		for (size_t i = 0; i < n; i++)
			CHECK(datagrams[i].port != 0 && datagrams[i].len <= OH_DATAGRAM_MAX && datagrams[i].from_port != 0);
	}
	return NULL;
}

/* One core, from its start to its end. */
static void play_round(struct board *board, int64_t lasts_ns, struct oh_core_counters *total)
{
	struct oh_core_config   config = {.address = "127.0.0.1", .port_low = 40000, .port_high = 49999};
	struct oh_core_counters counters;
	struct asker            askers[ASKERS];
	struct sender          *senders[SENDERS];
	pthread_t               threads[ASKERS + SENDERS + 1];

	CHECK_INT(oh_core_start(&board->core, &config), 0);
	CHECK_INT(oh_core_attach(board->core, board->segment_fd, &board->segment), 0);
	atomic_store(&board->over, false);
	for (uint32_t i = 0; i < ASKERS; i++) {
		askers[i] = (struct asker){.board = board, .number = i, .dice = dice_of(board->seed, i)};
		CHECK_INT(pthread_create(&threads[i], NULL, ask_main, &askers[i]), 0);
	}
	for (uint32_t i = 0; i < SENDERS; i++) {
		senders[i] = sender_make(board, i);
		CHECK_INT(pthread_create(&threads[ASKERS + i], NULL, send_main, senders[i]), 0);
	}
	CHECK_INT(pthread_create(&threads[ASKERS + SENDERS], NULL, read_main, board), 0);
	nap_us((long)(lasts_ns / 1000));
	CHECK_INT(oh_core_counters(board->core, &counters), 0);
	total->packets_in += counters.packets_in;
	total->packets_out += counters.packets_out;
	atomic_store(&board->over, true);
	for (size_t i = 0; i < ASKERS + SENDERS + 1; i++)
		CHECK_INT(pthread_join(threads[i], NULL), 0);
	for (uint32_t i = 0; i < SENDERS; i++)
		sender_free(senders[i]);
	oh_core_stop(board->core);
	clear_board(board);
}

static void open_far_ends(struct board *board)
{
	for (uint32_t i = 0; i < OWN_FAR; i++) {
		struct sockaddr_in *at = &board->far[i];
		socklen_t           size = sizeof(*at);

		*at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + i / 2u)};
		board->far_fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
		CHECK(board->far_fds[i] >= 0);
		CHECK_INT(bind(board->far_fds[i], (struct sockaddr *)at, sizeof(*at)), 0);
		CHECK_INT(getsockname(board->far_fds[i], (struct sockaddr *)at, &size), 0);
	}
}

static void make_segment(struct board *board)
{
	size_t size = sizeof(struct oh_slots_header) + SLOTS * sizeof(struct oh_slot_row);

	board->segment_fd = memfd_create("hammer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(board->segment_fd >= 0);
	CHECK_INT(ftruncate(board->segment_fd, (off_t)size), 0);
	CHECK_INT(fcntl(board->segment_fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	board->slots = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, board->segment_fd, 0);
	CHECK(board->slots != MAP_FAILED);
	board->slots->magic = OH_SLOTS_MAGIC;
	board->slots->version = OH_SLOTS_VERSION;
	board->slots->slots = SLOTS;
	board->slots->stride = sizeof(struct oh_slot_row);
	board->slots->ring_samples = OH_RING_SAMPLES;
	board->slots->rate_hz = OH_SLOT_RATE_HZ;
}

static void remove_folder(const char *folder)
{
	DIR           *open = opendir(folder);
	struct dirent *entry;

	CHECK(open != NULL);
	while ((entry = readdir(open)) != NULL) {
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(open), entry->d_name, 0);
	}
	(void)closedir(open);
	(void)rmdir(folder);
}

int main(int argc, char **argv)
{
	static struct board     board;
	char                    folder[] = "/tmp/oh-hammer-XXXXXX";
	int64_t                 began_ns = now_ns();
	int64_t                 lasts_ns = (argc > 1 ? strtol(argv[1], NULL, 10) : 10) * SECOND;
	struct oh_core_counters total = {0};

	CHECK(lasts_ns > 0);
	board.seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : (uint32_t)(began_ns / 1000);
	printf("seed %" PRIu32 "\n", board.seed);
	fflush(stdout);
	CHECK(mkdtemp(folder) != NULL);
	board.folder = folder;
	make_segment(&board);
	open_far_ends(&board);
	while (now_ns() < began_ns + (all_done() ? 1 : LONGER) * lasts_ns) {
		struct dice dice = dice_of(board.seed, ASKERS + SENDERS);
		int64_t     round_ns = rounds_s[below(&dice, 4)] * SECOND;

		if (round_ns > lasts_ns / 2)
			round_ns = lasts_ns / 2;
		board.scene_ns = round_ns / 4;
		play_round(&board, round_ns, &total);
		board.seed += 1000u;
	}
	for (unsigned i = 0; i < OWN_FAR; i++)
		(void)close(board.far_fds[i]);
	(void)munmap(board.slots, sizeof(struct oh_slots_header) + SLOTS * sizeof(struct oh_slot_row));
	(void)close(board.segment_fd);
	remove_folder(folder);
	printf("%" PRIu64 " packets taken, %" PRIu64 " sent, %" PRIu64 " answers too late\n", total.packets_in,
	       total.packets_out, atomic_load(&board.late_answers));
	print_verbs();
	CHECK(all_done());
	CHECK(total.packets_in > 0 && total.packets_out > 0);
	return 0;
}
