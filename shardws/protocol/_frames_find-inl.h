/* The header of one frame from a client, as _frames.c and net/pump read it.
 *
 * A length from the wire is compared with what is there before anything is added or allocated.
 */

#ifndef SHARDWS_FRAMES_FIND_H
#define SHARDWS_FRAMES_FIND_H

#include "_frames_bytes-inl.h"

#define FIN 0x80
#define FIN_TEXT 0x81
#define FIN_BINARY 0x82
#define FIN_CLOSE 0x88
#define FIN_PING 0x89
#define FIN_PONG 0x8A
#define MAX_CONTROL 125
#define MASKED 0x80

typedef struct {
    const uint8_t *body; /* payload, behind its key */
    Py_ssize_t size;
} Found;

/* Read the header of a masked frame that is complete in [at, end), whatever its first byte says;
 * 1 found; 0 anything else, or a length above max_size or not in its shortest form. A call for each
 * frame would be seen in the cost of a message. */
Py_ALWAYS_INLINE static inline int
find_frame(const uint8_t *at, const uint8_t *end, Py_ssize_t max_size, Found *found)
{
    if (end - at < 6 || !(at[1] & MASKED)) {
        return 0;
    }
    uint64_t size = at[1] & 0x7F;
    const uint8_t *body = at + 6;
    if (size == 126) {
        if (end - at < 8) {
            return 0;
        }
        size = (uint64_t)at[2] << 8 | at[3];
        if (size < 126) {
            return 0;
        }
        body = at + 8;
    }
    else if (size == 127) {
        if (end - at < 14) {
            return 0;
        }
        size = 0;
        for (int i = 2; i < 10; i++) {
            size = size << 8 | at[i];
        }
        if (size < 65536) {
            return 0;
        }
        body = at + 14;
    }
    if (size > (uint64_t)(end - body) || max_size < 0 || size > (uint64_t)max_size) {
        return 0;
    }
    found->body = body;
    found->size = (Py_ssize_t)size;
    return 1;
}

#endif
