/*
 * refusals.c - see refusals.h.
 */
#include "refusals.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct {
	const char *verb; /* NULL: any */
	int         error;
	const char *sentence;
} refusals[] = {
        {"open", -EADDRINUSE, "no pair of UDP ports is free: widen the range of media ports, or end calls"},
        {"open", -EADDRNOTAVAIL, "the media address is not this machine's: give one that `ip address` shows"},
        {"open", -EMFILE, "no more descriptors: raise the limit of open files (ulimit -n) to four for each leg"},
        {"open", -ENOSPC, "the core holds as many ports as it can: end calls"},
        {"bind", -ERANGE, "there is no such segment or slot: attach the segment, and choose a slot below its number"},
        {"bind", -EBUSY, "another port is bound to that slot: unbind or close it first"},
        {"bind", -ENOSPC, "it is in a room of 16 voices, where an agent would be heard by nobody: make a place there"},
        {"bridge", -EINVAL, "a port cannot be bridged to itself"},
        {"bridge", -EAGAIN, "others changed the codec of one of them over and over meanwhile: try again"},
        {"enter", -EAGAIN, "others changed its codec over and over meanwhile: try again"},
        {"enter", -ENOENT, "there is no such room, or the port is closed"},
        {"enter", -ENOSPC, "the room holds 16 voices already, the agents of its ports counted"},
        {"heard", -ENOTCONN, "it is in no room: bring it into one first"},
        {"play", -ERANGE, "there is no such prompt: load it first"},
        {"send_digits", -EOPNOTSUPP, "the far end agreed to no digits (telephone-event): send them in signalling"},
        {"send_digits", -EINVAL, "a key that does not exist, or a press that is too short or too long"},
        {"send_digits", -ENOSPC, "more than 64 keys are waiting: send them in parts, each after DigitsSent"},
        {"record", -EALREADY, "it records already: stop that recording first"},
        {"record", -EEXIST, "a track's file exists already, and recordings are never overwritten: choose another path"},
        {"record", -ENOENT, "the folder for the tracks does not exist, or the port is closed"},
        {"attach", -EPROTO, "that is no slots segment of this program's layout"},
        {"attach", -EPERM, "that memory may be shortened while it is in use: seal it first (F_SEAL_SHRINK)"},
        {"attach", -ENOSPC, "64 segments are attached already: attach each one once"},
        {"remote", -EINVAL, "packets are 10, 20, 30, 40 or 60 ms long"},
        {"keys", -EINVAL, "the keys are not of that suite's length, or there is no such suite"},
        {"keys", -ENOTSUP, "this machine's libsrtp2 does not know that suite"},
        {"select", -EINVAL, "it is not in the hands of ICE: call ice(True) first"},
        {"post", -EMSGSIZE, "a datagram has 1 to 1500 bytes"},
        {"post", -EINVAL, "there is no address to send to"},
        {"post", -ENOBUFS, "a thousand datagrams wait to be sent already: the media thread cannot keep up"},
        {"start", -EINVAL, "the address is no IPv4 address, or the ports no range"},
        {"start", -EMFILE, "no more descriptors: raise the limit of open files (ulimit -n)"},
        {NULL, -ENOENT, "it is not open"},
        {NULL, -ETIMEDOUT, "the media thread did not answer within two seconds: the machine is overloaded"},
        {NULL, -ESHUTDOWN, "the media core is closing"},
        {NULL, -ENOMEM, "no memory"},
};

const char *oh_refusal(const char *verb, int error)
{
	const char *sentence;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (refusals[i].error == error && (refusals[i].verb == NULL || strcmp(refusals[i].verb, verb) == 0))
			return refusals[i].sentence;
	}
	sentence = strerrordesc_np(-error);
	return sentence == NULL ? "an error without a name" : sentence;
}
