/*
 * command.c - how other threads ask the media thread for something, and wait for its answer.
 *
 * Commands lie on a stack that anyone may push to and the media thread takes whole. Who asked waits on the command's
 * semaphore; if the answer does not come in time the command is left to the media thread, which frees it.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

enum state { ASKED, ANSWERED, LEFT };

struct oh_command *oh_command_new(oh_command_run *run, uint32_t port)
{
	struct oh_command *command = calloc(1, sizeof(*command));

	if (command == NULL)
		return NULL;
	command->run = run;
	command->port = port;
	atomic_init(&command->state, ASKED);
	(void)sem_init(&command->answered, 0, 0);
	return command;
}

void oh_command_free(struct oh_command *command)
{
	if (command == NULL)
		return;
	(void)sem_destroy(&command->answered);
	free(command);
}

static void answer(struct oh_command *command, int result)
{
	command->result = result;
	if (atomic_exchange(&command->state, ANSWERED) == LEFT)
		oh_command_free(command);
	else
		(void)sem_post(&command->answered);
}

int oh_command_ask(struct oh_core *core, struct oh_command *command)
{
	struct timespec until;
	uint64_t        one = 1;
	int             result;

	if (command == NULL)
		return -ENOMEM;
	command->next = atomic_load_explicit(&core->commands, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&core->commands, &command->next, command, memory_order_release,
	                                              memory_order_relaxed))
		continue;
	while (write(core->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		continue;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += OH_ANSWER_MS / 1000u;
	while (sem_clockwait(&command->answered, CLOCK_MONOTONIC, &until) < 0) {
		if (errno == EINTR)
			continue;
		if (atomic_exchange(&command->state, LEFT) == ASKED)
			return -ETIMEDOUT;
		/* Answered in this very moment: the post is under way, and must be over before the command is freed. */
		while (sem_wait(&command->answered) < 0 && errno == EINTR)
			continue;
		break;
	}
	(void)atomic_load(&command->state); /* what was written before it was set to ANSWERED is seen from here on */
	result = command->result;
	if (result < 0)
		oh_command_free(command);
	return result;
}

/* In the order in which they were asked. */
static struct oh_command *take_all(struct oh_core *core)
{
	struct oh_command *newest = atomic_exchange_explicit(&core->commands, NULL, memory_order_acquire);
	struct oh_command *oldest = NULL;

	while (newest != NULL) {
		struct oh_command *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

void oh_commands_run(struct oh_core *core)
{
	struct oh_command *command;

	if (atomic_load_explicit(&core->commands, memory_order_relaxed) == NULL)
		return;
	command = take_all(core);
	while (command != NULL) {
		struct oh_command *next = command->next;

		answer(command, command->run(core, command));
		command = next;
	}
}

void oh_commands_refuse(struct oh_core *core)
{
	struct oh_command *command = take_all(core);

	while (command != NULL) {
		struct oh_command *next = command->next;

		answer(command, -ESHUTDOWN);
		command = next;
	}
}
