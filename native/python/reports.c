/*
 * reports.c - what a core tells: events, datagrams and counters, as tuples for core.py and counters.py.
 */
#include <arpa/inet.h>

#include "core.h"

#define EVENTS_AT_ONCE    64
#define DATAGRAMS_AT_ONCE 16

static PyObject *quality_side(const struct oh_quality_side *side)
{
	return Py_BuildValue("ffffffffffI", (double)side->r, (double)side->mos_lq, (double)side->mos_cq,
	                     (double)side->lost, (double)side->discarded, (double)side->burst_density,
	                     (double)side->burst_ms, (double)side->jitter_ms, (double)side->said_mos_lq,
	                     (double)side->said_mos_cq, side->packets);
}

static PyObject *quality_event(const struct oh_event *event)
{
	const struct oh_quality *quality = &event->quality;

	return Py_BuildValue("IILLLL(NNff)", event->kind, event->port, (long long)event->clock, (long long)event->a, 0LL, 0LL,
	                     quality_side(&quality->heard), quality_side(&quality->reported), (double)quality->rtt_ms,
	                     (double)quality->delay_ms);
}

PyObject *core_events(PyObject *object, PyObject *unused)
{
	Core           *self = (Core *)object;
	struct oh_core *core = core_use(self);
	struct oh_event events[EVENTS_AT_ONCE];
	PyObject       *list;
	size_t          n = EVENTS_AT_ONCE;

	(void)unused;
	if (core == NULL)
		return NULL;
	list = PyList_New(0);
	while (list != NULL && n == EVENTS_AT_ONCE) {
		n = oh_core_events(core, events, EVENTS_AT_ONCE); /* never waits: the GIL stays */
		for (size_t i = 0; i < n && list != NULL; i++) {
			const struct oh_event *event = &events[i];
			PyObject *item = event->kind == OH_EVENT_QUALITY
			                         ? quality_event(event)
			                         : Py_BuildValue("IILLLLs", event->kind, event->port,
			                                         (long long)event->clock, (long long)event->a,
			                                         (long long)event->b, (long long)event->c, event->text);

			if (item == NULL || PyList_Append(list, item) < 0)
				Py_CLEAR(list);
			Py_XDECREF(item);
		}
	}
	self->users--;
	return list;
}

PyObject *core_datagrams(PyObject *object, PyObject *unused)
{
	Core              *self = (Core *)object;
	struct oh_core    *core = core_use(self);
	struct oh_datagram datagrams[DATAGRAMS_AT_ONCE];
	PyObject          *list;
	size_t             n = DATAGRAMS_AT_ONCE;

	(void)unused;
	if (core == NULL)
		return NULL;
	list = PyList_New(0);
	while (list != NULL && n == DATAGRAMS_AT_ONCE) {
		n = oh_core_datagrams(core, datagrams, DATAGRAMS_AT_ONCE); /* never waits: the GIL stays */
		for (size_t i = 0; i < n && list != NULL; i++) {
			const struct oh_datagram *datagram = &datagrams[i];
			struct in_addr            ip = {.s_addr = datagram->ip};
			char                      host[INET_ADDRSTRLEN] = "";
			PyObject                 *item;

			(void)inet_ntop(AF_INET, &ip, host, sizeof(host));
			item = Py_BuildValue("Isiy#L", datagram->port, host, (int)datagram->from_port, (const char *)datagram->data,
			                     (Py_ssize_t)datagram->len, (long long)datagram->arrived_ns);
			if (item == NULL || PyList_Append(list, item) < 0)
				Py_CLEAR(list);
			Py_XDECREF(item);
		}
	}
	self->users--;
	return list;
}

PyObject *core_counters(PyObject *object, PyObject *unused)
{
	struct oh_core_counters counters;
	int                     error;

	(void)unused;
	RUN((Core *)object, error, oh_core_counters(core, &counters));
	if (error < 0)
		return core_refused("counters", 0, error);
	return Py_BuildValue("KKKdddKKKKKs", (unsigned long long)counters.ports, (unsigned long long)counters.packets_in,
	                     (unsigned long long)counters.packets_out, counters.pacing_p50_us, counters.pacing_p99_us,
	                     counters.pacing_max_us, (unsigned long long)counters.ticks_overrun,
	                     (unsigned long long)counters.kernel_drops, (unsigned long long)counters.disk_drops,
	                     (unsigned long long)counters.events_dropped, (unsigned long long)counters.amiss,
	                     counters.amiss_where);
}

PyObject *core_port_counters(PyObject *object, PyObject *args)
{
	struct oh_port_counters c;
	unsigned int            port;
	int                     error;

	if (!PyArg_ParseTuple(args, "I", &port))
		return NULL;
	RUN((Core *)object, error, oh_port_counters(core, port, &c));
	if (error < 0)
		return core_refused("counters", port, error);
	return Py_BuildValue(
	        "KKKKKKKKddKKKKddddKKKKKKdddddd", (unsigned long long)c.packets_in, (unsigned long long)c.bytes_in,
	        (unsigned long long)c.packets_out, (unsigned long long)c.bytes_out, (unsigned long long)c.late,
	        (unsigned long long)c.lost, (unsigned long long)c.duplicate, (unsigned long long)c.reordered,
	        (double)c.concealed / 8.0, (double)c.missing / 8.0, (unsigned long long)c.bad,
	        (unsigned long long)c.wrong_source, (unsigned long long)c.wrong_ssrc, (unsigned long long)c.send_errors,
	        c.jitter_ms, c.rtt_ms, c.remote_lost, (double)c.record_dropped / 8.0,
	        (unsigned long long)c.unauthentic, (unsigned long long)c.replayed, (unsigned long long)c.handed_up,
	        (unsigned long long)c.handed_up_dropped, (unsigned long long)c.rtcp_in, (unsigned long long)c.rtcp_dropped,
	        c.mos_lq, c.mos_cq, (double)c.waited_ns / 1e6, (double)c.bridged / 8.0, (double)c.bridged_concealed / 8.0,
	        c.bridged_heard > 0 ? (double)c.bridged_delay_us / (double)c.bridged_heard / 1e3 : 0.0);
}
