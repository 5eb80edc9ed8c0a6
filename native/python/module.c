/*
 * module.c - offhook.media._core: oh_core.h for Python, one method for one function, and nothing more. Here are the module
 * and a core's life; what it tells is in reports.c, what is asked of it in verbs.c, what is asked of its ports in ports.c.
 *
 * The GIL is released while a command waits for its answer. `users` counts calls under way (guarded by the GIL), so
 * that `close` can wait for them. See server/offhook/media/_core.pyi for the types.
 */
#include <errno.h>
#include <time.h>

#include "core.h"
#include "refusals.h"

PyObject *media_error;

PyObject *core_refused(const char *verb, unsigned int port, int error)
{
	if (port != 0)
		PyErr_Format(media_error, "port %u: %s: %s", port, verb, oh_refusal(verb, error));
	else
		PyErr_Format(media_error, "media core: %s: %s", verb, oh_refusal(verb, error));
	return NULL;
}

struct oh_core *core_use(Core *self)
{
	if (self->core == NULL) {
		PyErr_SetString(media_error, "the media core is closed: start another one");
		return NULL;
	}
	self->users++;
	return self->core;
}

/* --- life */

static int core_init(PyObject *object, PyObject *args, PyObject *keywords)
{
	Core                 *self = (Core *)object;
	struct oh_core_config config;
	int                   low, high, error;
	unsigned int          first = 1, step = 1; /* and as many blocks as it likes */

	if (keywords != NULL && PyDict_GET_SIZE(keywords) != 0) {
		PyErr_SetString(PyExc_TypeError, "Core takes no keywords");
		return -1;
	}
	config.blocks = 0;
	if (!PyArg_ParseTuple(args, "sii|II", &config.address, &low, &high, &first, &step))
		return -1;
	if (self->core != NULL || low < 1 || high > UINT16_MAX) {
		(void)core_refused("start", 0, -EINVAL);
		return -1;
	}
	config.port_low = (uint16_t)low;
	config.port_high = (uint16_t)high;
	config.first = first;
	config.step = step;
	error = oh_core_start(&self->core, &config);
	if (error < 0) {
		self->core = NULL;
		(void)core_refused("start", 0, error);
		return -1;
	}
	return 0;
}

static void stop(Core *self)
{
	struct oh_core *core = self->core;
	struct timespec moment = {0, 1000000};

	if (core == NULL)
		return;
	self->core = NULL; /* nobody enters from here on */
	while (self->users > 0) {
		Py_BEGIN_ALLOW_THREADS
		(void)nanosleep(&moment, NULL);
		Py_END_ALLOW_THREADS
	}
	Py_BEGIN_ALLOW_THREADS
	oh_core_stop(core);
	Py_END_ALLOW_THREADS
}

static void core_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);

	stop((Core *)object);
	type->tp_free(object);
	Py_DECREF(type);
}

PyObject *core_close(PyObject *object, PyObject *unused)
{
	(void)unused;
	stop((Core *)object);
	Py_RETURN_NONE;
}

/* --- the core's own methods */

PyObject *core_fileno(PyObject *object, PyObject *unused)
{
	struct oh_core *core = core_use((Core *)object);
	long            fd;

	(void)unused;
	if (core == NULL)
		return NULL;
	fd = oh_core_event_fd(core);
	((Core *)object)->users--;
	return PyLong_FromLong(fd);
}

/* --- the module */

static PyMethodDef core_methods[] = {
        {"fileno", core_fileno, METH_NOARGS, "A descriptor that is readable while events wait."},
        {"events", core_events, METH_NOARGS, "What happened since the last call, oldest first."},
        {"datagrams", core_datagrams, METH_NOARGS, "What came for ICE and DTLS since the last call, oldest first."},
        {"counters", core_counters, METH_NOARGS, "struct oh_core_counters, as a tuple."},
        {"close", core_close, METH_NOARGS, "Close all ports and end the threads."},
        {"attach", core_attach, METH_VARARGS, "Map a slots segment."},
        {"load_prompt", core_load_prompt, METH_VARARGS, "Keep a sound."},
        {"drop_prompt", core_drop_prompt, METH_VARARGS, "Forget a sound."},
        {"open", core_open, METH_NOARGS, "Open a port: number, UDP port, time of media clock 0."},
        {"close_port", core_close_port, METH_VARARGS, "Close a port."},
        {"remote", core_remote, METH_VARARGS, "Where to send, and from whom to take."},
        {"keys", core_keys, METH_VARARGS, "Keys for SRTP."},
        {"forget_keys", core_forget_keys, METH_VARARGS, "Have none."},
        {"ice", core_ice, METH_VARARGS, "Whether ICE says whom the port talks to."},
        {"select", core_select, METH_VARARGS, "Whom ICE has selected."},
        {"post", core_post, METH_VARARGS, "Send a datagram."},
        {"bind", core_bind, METH_VARARGS, "Bind to a slot; the epoch."},
        {"unbind", core_unbind, METH_VARARGS, "Leave the slot."},
        {"bridge", core_bridge, METH_VARARGS, "Let two ports hear each other."},
        {"room", core_room, METH_NOARGS, "Make a room: its number."},
        {"close_room", core_close_room, METH_VARARGS, "Close a room."},
        {"enter", core_enter, METH_VARARGS, "Bring a port into a room."},
        {"leave", core_leave, METH_VARARGS, "Leave the room or the bridge."},
        {"heard", core_heard, METH_VARARGS, "Who hears a port."},
        {"play", core_play, METH_VARARGS, "Play a prompt; the number of this playing."},
        {"stop", core_stop, METH_VARARGS, "Cut the prompt."},
        {"flush", core_flush, METH_VARARGS, "Cut what the slot said; the samples played."},
        {"send_digits", core_send_digits, METH_VARARGS, "Press keys."},
        {"record", core_record, METH_VARARGS, "Write two tracks."},
        {"pause", core_pause, METH_VARARGS, "Pause or resume the recording."},
        {"stop_recording", core_stop_recording, METH_VARARGS, "Finish both tracks."},
        {"port_counters", core_port_counters, METH_VARARGS, "struct oh_port_counters, as a tuple."},
        {NULL, NULL, 0, NULL},
};

static PyType_Slot core_slots[] = {
        {Py_tp_doc, "The media core; see offhook.media.MediaCore."},
        {Py_tp_new, PyType_GenericNew},
        {Py_tp_init, core_init},
        {Py_tp_dealloc, core_dealloc},
        {Py_tp_methods, core_methods},
        {0, NULL},
};

static PyType_Spec core_spec = {
        .name = "offhook.media._core.Core",
        .basicsize = sizeof(Core),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = core_slots,
};

static struct PyModuleDef definition = {
        PyModuleDef_HEAD_INIT,
        .m_name = "offhook.media._core",
        .m_doc = "The media core, as oh_core.h has it.",
        .m_size = -1,
};

static int add_constants(PyObject *module)
{
	static const struct {
		const char *name;
		int         value;
	} constants[] = {
	        {"ULAW", OH_CODEC_ULAW},
	        {"ALAW", OH_CODEC_ALAW},
	        {"OPUS", OH_CODEC_OPUS},
	        {"HEARD_BY_ALL", OH_HEARD_BY_ALL},
	        {"HEARD_BY_NOBODY", OH_HEARD_BY_NOBODY},
	        {"HEARD_BY_LINE", OH_HEARD_BY_LINE},
	        {"HEARD_BY_SLOT", OH_HEARD_BY_SLOT},
	        {"DIGIT", OH_EVENT_DIGIT},
	        {"DIGITS_SENT", OH_EVENT_DIGITS_SENT},
	        {"PROMPT_DONE", OH_EVENT_PROMPT_DONE},
	        {"TALK", OH_EVENT_TALK},
	        {"MEDIA_STARTED", OH_EVENT_MEDIA_STARTED},
	        {"MEDIA_LOST", OH_EVENT_MEDIA_LOST},
	        {"MEDIA_BACK", OH_EVENT_MEDIA_BACK},
	        {"RECORD_FAILED", OH_EVENT_RECORD_FAILED},
	        {"RECORD_RESUMED", OH_EVENT_RECORD_RESUMED},
	        {"RECORD_CLOSED", OH_EVENT_RECORD_CLOSED},
	        {"QUALITY", OH_EVENT_QUALITY},
	};

	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0)
			return -1;
	}
	return 0;
}

PyMODINIT_FUNC PyInit__core(void)
{
	PyObject *errors = PyImport_ImportModule("offhook.media.errors");
	PyObject *module, *type;

	if (errors == NULL)
		return NULL;
	media_error = PyObject_GetAttrString(errors, "MediaError");
	Py_DECREF(errors);
	module = media_error == NULL ? NULL : PyModule_Create(&definition);
	if (module == NULL)
		return NULL;
	type = PyType_FromSpec(&core_spec);
	if (type == NULL || PyModule_AddObjectRef(module, "Core", type) < 0 || add_constants(module) < 0)
		Py_CLEAR(module);
	Py_XDECREF(type);
	return module;
}
