/* head() of _frames.c: an opening request of the ordinary kind, cut into what decides on it.
 *
 * Ordinary is a whole GET in one read, with an origin-form target, over HTTP/1.1, whose header
 * passes every rule of `handshake`, in the form in which nearly all clients write it. For all else
 * the answer is "not ordinary": the reader in Python then finds that it is valid too, or says what
 * is wrong. So there is no error here, and nothing may pass here that the reader would refuse. */

#ifndef SHARDWS_HEAD_H
#define SHARDWS_HEAD_H

#include <string.h>
#include "_frames_bytes-inl.h"

enum { /* what a byte may be part of */
    TOKEN = 1,    /* RFC 9110 5.6.2 */
    VALUE = 2,    /* of a field, obs-text included (RFC 9110 5.5) */
    TARGET = 4,   /* visible, and no "#" */
    NAME = 8,     /* a host name */
    ADDRESS = 16, /* an IPv6 address */
    BASE64 = 32,
    SPACE = 64,
};

static const uint8_t kinds[256] = {
    ['\t'] = VALUE | SPACE,
    [' '] = VALUE | SPACE,
    ['!'] = VALUE | TARGET | TOKEN,
    ['"'] = VALUE | TARGET,
    ['#'] = VALUE | TOKEN,
    ['$' ... '\''] = VALUE | TARGET | TOKEN,
    ['(' ... ')'] = VALUE | TARGET,
    ['*'] = VALUE | TARGET | TOKEN,
    ['+'] = VALUE | TARGET | TOKEN | BASE64,
    [','] = VALUE | TARGET,
    ['-'] = VALUE | TARGET | TOKEN | NAME,
    ['.'] = VALUE | TARGET | TOKEN | NAME | ADDRESS,
    ['/'] = VALUE | TARGET | BASE64,
    ['0' ... '9'] = VALUE | TARGET | TOKEN | NAME | ADDRESS | BASE64,
    [':'] = VALUE | TARGET | ADDRESS,
    [';' ... '@'] = VALUE | TARGET,
    ['A' ... 'F'] = VALUE | TARGET | TOKEN | NAME | ADDRESS | BASE64,
    ['G' ... 'Z'] = VALUE | TARGET | TOKEN | NAME | BASE64,
    ['[' ... ']'] = VALUE | TARGET,
    ['^'] = VALUE | TARGET | TOKEN,
    ['_'] = VALUE | TARGET | TOKEN | NAME,
    ['`'] = VALUE | TARGET | TOKEN,
    ['a' ... 'f'] = VALUE | TARGET | TOKEN | NAME | ADDRESS | BASE64,
    ['g' ... 'z'] = VALUE | TARGET | TOKEN | NAME | BASE64,
    ['{'] = VALUE | TARGET,
    ['|'] = VALUE | TARGET | TOKEN,
    ['}'] = VALUE | TARGET,
    ['~'] = VALUE | TARGET | TOKEN | NAME,
    [0x80 ... 0xFF] = VALUE,
};

enum { HOST, ORIGIN, KEY, PROTOCOLS, EXTENSIONS, TOLD, UPGRADE = TOLD, CONNECTION, VERSION, FIELDS };

/* Of these one may come; of BODY none: what follows it would be read as frames. */
static const struct {
    const char *name;
    int size;
} fields[FIELDS] = {
    [HOST] = {"host", 4},
    [ORIGIN] = {"origin", 6},
    [KEY] = {"sec-websocket-key", 17},
    [PROTOCOLS] = {"sec-websocket-protocol", 22},
    [EXTENSIONS] = {"sec-websocket-extensions", 24},
    [UPGRADE] = {"upgrade", 7},
    [CONNECTION] = {"connection", 10},
    [VERSION] = {"sec-websocket-version", 21},
}, body[2] = {{"content-length", 14}, {"transfer-encoding", 17}};

typedef struct {
    const uint8_t *at; /* NULL: no such field */
    Py_ssize_t size;
} Text;

typedef struct {
    const uint8_t *end; /* behind the head */
    Text values[FIELDS];
} Head;

static const uint8_t *
skip(const uint8_t *at, const uint8_t *end, int kind)
{
    while (at < end && kinds[*at] & kind) {
        at++;
    }
    return at;
}

static int
is_all(Text text, int kind)
{
    return skip(text.at, text.at + text.size, kind) == text.at + text.size;
}

/* Whether a text is `word`, which is in lower case: of letters and "-" alone, of which no other
 * byte of a value differs by 0x20 only. */
static int
is_word(Text text, const char *word, Py_ssize_t size)
{
    if (text.size != size) {
        return 0;
    }
    for (Py_ssize_t at = 0; at < size; at++) {
        if ((text.at[at] | 0x20) != (uint8_t)word[at]) {
            return 0;
        }
    }
    return 1;
}

static Text
stripped(const uint8_t *at, const uint8_t *end)
{
    at = skip(at, end, SPACE);
    while (end > at && kinds[end[-1]] & SPACE) {
        end--;
    }
    return (Text){at, end - at};
}

/* Whether a comma separated list has an element. */
static int
has_word(Text list, const char *word, Py_ssize_t size)
{
    const uint8_t *at = list.at, *end = list.size ? list.at + list.size : at;
    while (at < end) {
        const uint8_t *comma = memchr(at, ',', (size_t)(end - at));
        const uint8_t *stop = comma != NULL ? comma : end;
        if (is_word(stripped(at, stop), word, size)) {
            return 1;
        }
        at = stop + 1;
    }
    return 0;
}

/* Whether a Host field is a name or an address, perhaps with a port. */
static int
is_host(Text host)
{
    if (!host.size) {
        return 0;
    }
    const uint8_t *at = host.at, *end = host.at + host.size;
    if (*at == '[') {
        const uint8_t *close = skip(++at, end, ADDRESS);
        if (close == end || *close != ']' || close - at < 2 || close - at > 45) {
            return 0;
        }
        at = close + 1;
    }
    else {
        at = skip(at, end, NAME);
        if (at == host.at || at - host.at > 255) {
            return 0;
        }
    }
    if (at == end) {
        return 1;
    }
    if (*at++ != ':' || end - at > 5) {
        return 0;
    }
    int port = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        port = port * 10 + (*at - '0');
    }
    return at == end && port <= 65535;
}

/* Note a field, if it is one of those; 0 for one that may not come, or not again. */
static int
note_field(Head *head, Text name, Text value)
{
    for (int field = 0; field < FIELDS; field++) {
        if (is_word(name, fields[field].name, fields[field].size)) {
            int is_first = head->values[field].at == NULL;
            head->values[field] = value;
            return is_first;
        }
    }
    return !is_word(name, body[0].name, body[0].size) && !is_word(name, body[1].name, body[1].size);
}

/* Where the header begins, NULL when the request line is not ordinary. */
static const uint8_t *
read_line(const uint8_t *at, const uint8_t *end, Py_ssize_t most)
{
    static const char method[] = "GET /", version[] = " HTTP/1.1\r\n";
    const Py_ssize_t behind = sizeof version - 1;
    if (end - at < (Py_ssize_t)sizeof method - 1 || memcmp(at, method, sizeof method - 1) != 0) {
        return NULL;
    }
    const uint8_t *stop = skip(at + sizeof method - 1, end, TARGET);
    if (end - stop < behind || memcmp(stop, version, (size_t)behind) != 0 || stop - at + behind - 2 > most) {
        return NULL;
    }
    return stop + behind;
}

/* Read the header that begins at `at`, its empty line included; 0 when it is not ordinary. */
static int
read_header(const uint8_t *at, const uint8_t *end, Py_ssize_t most, Head *head)
{
    for (Py_ssize_t lines = 0; end - at >= 2; lines++) {
        if (at[0] == '\r') {
            head->end = at + 2;
            return at[1] == '\n';
        }
        const uint8_t *colon = skip(at, end, TOKEN);
        if (lines >= most || colon == at || colon == end || *colon != ':') {
            return 0;
        }
        const uint8_t *stop = skip(colon + 1, end, VALUE);
        if (end - stop < 2 || stop[0] != '\r' || stop[1] != '\n' ||
            !note_field(head, (Text){at, colon - at}, stripped(colon + 1, stop))) {
            return 0;
        }
        at = stop + 2;
    }
    return 0;
}

/* Whether a header of good grammar opens a WebSocket (RFC 6455 4.2.1). */
static int
opens(const Head *head)
{
    const Text *values = head->values;
    Text key = values[KEY], version = values[VERSION];
    for (Py_ssize_t at = 0; at < values[PROTOCOLS].size; at++) {
        uint8_t byte = values[PROTOCOLS].at[at];
        if (!(kinds[byte] & (TOKEN | SPACE)) && byte != ',') {
            return 0;
        }
    }
    return is_host(values[HOST]) && has_word(values[UPGRADE], "websocket", 9) &&
           has_word(values[CONNECTION], "upgrade", 7) && version.size == 2 &&
           memcmp(version.at, "13", 2) == 0 && key.size == 24 && is_all((Text){key.at, 22}, BASE64) &&
           key.at[22] == '=' && key.at[23] == '=';
}

/* head(data, max_header_bytes, max_line_bytes, max_headers): where the head ends, and its host, origin,
 * key, sub-protocols and extensions; None when it is not ordinary. */
static PyObject *
head(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 4 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "head(data: bytes, header: int, line: int, lines: int)");
        return NULL;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(args[0]), most = PyLong_AsSsize_t(args[1]);
    Py_ssize_t line = PyLong_AsSsize_t(args[2]), lines = PyLong_AsSsize_t(args[3]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    const uint8_t *data = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    const uint8_t *end = data + (size < most ? size : most > 0 ? most : 0);
    const uint8_t *at = read_line(data, end, line);
    Head found = {0};
    if (at == NULL || !read_header(at, end, lines, &found) || !opens(&found)) {
        Py_RETURN_NONE;
    }
    PyObject *told = PyTuple_New(TOLD + 1);
    PyObject *position = told != NULL ? PyLong_FromSsize_t(found.end - data) : NULL;
    if (position == NULL) {
        Py_XDECREF(told);
        return NULL;
    }
    PyTuple_SET_ITEM(told, 0, position);
    for (int field = 0; field < TOLD; field++) {
        Text value = found.values[field];
        PyObject *text = PyUnicode_DecodeLatin1((const char *)value.at, value.size, NULL);
        if (text == NULL) {
            Py_DECREF(told);
            return NULL;
        }
        PyTuple_SET_ITEM(told, field + 1, text);
    }
    return told;
}

#endif
