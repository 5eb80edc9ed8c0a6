/*
 * rooms.c - rooms by number, and what other threads ask of them: come in, go, be heard by others, and the bridge of two.
 */
#include <errno.h>
#include <stdlib.h>

#include "command.h"
#include "engine.h"
#include "seat.h"

#define CODEC_TRIES 4 /* a port's codec may change between the question which it is and the seat made for it */

/* --- on the media thread */

static struct oh_room_entry *find(struct oh_core *core, uint32_t number)
{
	struct oh_room_entry *entry = core->rooms;

	while (entry != NULL && entry->number != number)
		entry = entry->next;
	return entry;
}

static void add(struct oh_core *core, struct oh_room_entry *entry)
{
	entry->number = core->next_room;
	core->next_room += core->step;
	entry->next = core->rooms;
	core->rooms = entry;
}

static void drop(struct oh_core *core, struct oh_room_entry *entry)
{
	struct oh_room_entry **place = &core->rooms;

	while (entry->count > 0)
		oh_seat_leave(entry->ports[entry->count - 1u]);
	while (*place != entry)
		place = &(*place)->next;
	*place = entry->next;
	oh_room_close(entry->room);
	free(entry);
}

void oh_port_leave_room(struct oh_port *port)
{
	struct oh_room_entry *entry;

	if (port->seat == NULL)
		return;
	entry = port->seat->entry;
	oh_seat_leave(port);
	if (entry->fleeting && entry->count < 2)
		drop(port->core, entry);
}

void oh_rooms_drop(struct oh_core *core)
{
	while (core->rooms != NULL)
		drop(core, core->rooms);
}

static int run_room(struct oh_core *core, struct oh_command *command)
{
	struct oh_room_entry *entry = command->thing;

	add(core, entry);
	command->a = entry->number;
	return 0;
}

static int run_close_room(struct oh_core *core, struct oh_command *command)
{
	struct oh_room_entry *entry = find(core, command->a);

	if (entry != NULL)
		drop(core, entry);
	return 0;
}

static int run_codec(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);

	if (port == NULL)
		return -ENOENT;
	oh_recode_now(port); /* who sits down does so with the codec that is agreed */
	command->a = (uint32_t)port->listen.decoder.codec;
	return 0;
}

/* Is the seat for what the port hears, and goes on hearing? */
static bool fits(const struct oh_port *port, const struct oh_seat *seat)
{
	return !port->recode.pending && seat->codec == port->listen.decoder.codec;
}

/* Sit down in a room, once it is sure that the seat fits and that there is room for it. */
static int sit(struct oh_port *port, struct oh_room_entry *entry, struct oh_seat *seat)
{
	if (!fits(port, seat))
		return -EAGAIN;
	if (port->seat != NULL && port->seat->entry == entry)
		return -EALREADY;
	if (oh_room_places(entry->room) < 1u + (port->voice.row != NULL ? 1u : 0u)) /* its agent needs a place as well */
		return -ENOSPC;
	oh_port_leave_room(port);
	return oh_seat_take(port, entry, seat);
}

static int run_enter(struct oh_core *core, struct oh_command *command)
{
	struct oh_port       *port = oh_command_port(core, command);
	struct oh_room_entry *entry = find(core, command->a);
	int                   error;

	if (port == NULL || entry == NULL)
		return -ENOENT;
	error = sit(port, entry, command->thing);
	if (error == 0 || error == -EALREADY)
		oh_seat_heard(port, (enum oh_heard_by)command->b, (uint32_t)command->wide);
	return error;
}

static int run_leave(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);

	if (port == NULL)
		return -ENOENT;
	oh_port_leave_room(port);
	return 0;
}

static int run_heard(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);

	if (port == NULL)
		return -ENOENT;
	if (port->seat == NULL)
		return -ENOTCONN;
	oh_seat_heard(port, (enum oh_heard_by)command->b, (uint32_t)command->wide);
	return 0;
}

struct pair { /* what a bridge is made of */
	struct oh_room_entry *entry;
	struct oh_seat       *seats[2];
};

static int run_bridge(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);
	struct oh_port *other = oh_core_port(core, command->a);
	struct pair    *pair = command->thing;

	if (port == NULL || other == NULL)
		return -ENOENT;
	other->now_ns = port->now_ns;
	if (!fits(port, pair->seats[0]) || !fits(other, pair->seats[1]))
		return -EAGAIN;
	oh_port_leave_room(port);
	oh_port_leave_room(other);
	pair->entry->fleeting = true;
	add(core, pair->entry);
	(void)oh_seat_take(port, pair->entry, pair->seats[0]); /* an empty room has places for two, and their agents */
	(void)oh_seat_take(other, pair->entry, pair->seats[1]);
	return 0;
}

/* --- in any thread: oh_core.h */

static int make_room(struct oh_room_entry **entry)
{
	struct oh_room_entry *made = calloc(1, sizeof(*made));

	if (made == NULL)
		return -ENOMEM;
	if (oh_room_open(&made->room, 8000) < 0) {
		free(made);
		return -ENOMEM;
	}
	*entry = made;
	return 0;
}

/* A seat for what the port hears now. */
static int make_seat(struct oh_core *core, uint32_t port, struct oh_seat **seat)
{
	struct oh_command *command = oh_command_new(run_codec, port);
	int                error = oh_command_ask(core, command);

	if (error < 0)
		return error;
	error = oh_seat_make(seat, (enum oh_codec)command->a, port);
	oh_command_free(command);
	return error;
}

int oh_core_room(struct oh_core *core, uint32_t *room)
{
	struct oh_command    *command = oh_command_new(run_room, 0);
	struct oh_room_entry *entry = NULL;
	int                   error = command == NULL ? -ENOMEM : make_room(&entry);

	if (error < 0) {
		oh_command_free(command);
		return error;
	}
	command->thing = entry;
	error = oh_command_ask(core, command);
	if (error < 0) {
		oh_room_close(entry->room);
		free(entry);
		return error;
	}
	*room = command->a;
	oh_command_free(command);
	return 0;
}

int oh_core_close_room(struct oh_core *core, uint32_t room)
{
	struct oh_command *command = oh_command_new(run_close_room, 0);

	if (command != NULL)
		command->a = room;
	return oh_command_do(core, command);
}

int oh_port_enter(struct oh_core *core, uint32_t port, uint32_t room, enum oh_heard_by heard, uint32_t by)
{
	int error = -EAGAIN;

	for (int i = 0; error == -EAGAIN && i < CODEC_TRIES; i++) {
		struct oh_command *command;
		struct oh_seat    *seat = NULL;

		error = make_seat(core, port, &seat);
		if (error < 0)
			return error;
		command = oh_command_new(run_enter, port);
		if (command != NULL) {
			command->thing = seat;
			command->a = room;
			command->b = (uint32_t)heard;
			command->wide = by;
		}
		error = oh_command_do(core, command);
		if (error < 0)
			oh_seat_free(seat);
	}
	return error == -EALREADY ? 0 : error;
}

int oh_port_leave_rooms(struct oh_core *core, uint32_t port)
{
	return oh_command_do(core, oh_command_new(run_leave, port));
}

int oh_port_heard(struct oh_core *core, uint32_t port, enum oh_heard_by heard, uint32_t by)
{
	struct oh_command *command = oh_command_new(run_heard, port);

	if (command != NULL) {
		command->b = (uint32_t)heard;
		command->wide = by;
	}
	return oh_command_do(core, command);
}

int oh_port_bridge(struct oh_core *core, uint32_t port, uint32_t other)
{
	int error = port == other ? -EINVAL : -EAGAIN;

	for (int i = 0; error == -EAGAIN && i < CODEC_TRIES; i++) {
		struct oh_command *command = NULL;
		struct pair        pair = {NULL, {NULL, NULL}};

		error = make_seat(core, port, &pair.seats[0]);
		if (error == 0)
			error = make_seat(core, other, &pair.seats[1]);
		if (error == 0)
			error = make_room(&pair.entry);
		if (error == 0) {
			command = oh_command_new(run_bridge, port);
			if (command != NULL) {
				command->thing = &pair;
				command->a = other;
			}
			error = oh_command_do(core, command);
		}
		if (error < 0) {
			oh_seat_free(pair.seats[0]);
			oh_seat_free(pair.seats[1]);
			if (pair.entry != NULL)
				oh_room_close(pair.entry->room);
			free(pair.entry);
		}
	}
	return error;
}
