/* frames.c: frames out, masked; frames in, compared with what is expected while they arrive.
 *
 * Nothing that arrives is kept: the content of every message is known beforehand, so a message of
 * any size is checked piece by piece as the kernel hands it over. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHIFTS = 64 };         /* the pattern begins elsewhere in each message */

static uint8_t *pattern;      /* printable for text, any byte for binary */
static uint32_t mask_state = 2463534242u;

void frames_setup(size_t largest) {
    pattern = malloc(largest + SHIFTS);
    if (!pattern) fail("no memory for the pattern");
    uint32_t x = 1;
    for (size_t i = 0; i < largest + SHIFTS; i++) {
        x = x * 1664525u + 1013904223u;
        pattern[i] = options.text ? "abcdefghijklmnopqrstuvwxyz012345"[x >> 27] : (uint8_t)(x >> 24);
    }
}

static void write_stamp(uint8_t *to, uint32_t stream, uint32_t sequence) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 7; i >= 0; i--, stream >>= 4) to[i] = (uint8_t)digits[stream & 15];
    for (int i = 15; i >= 8; i--, sequence >>= 4) to[i] = (uint8_t)digits[sequence & 15];
}

size_t content_length(const struct content *content) {
    return content->prefix_length + content->payload + content->suffix_length;
}

/* ---- out ---- */

uint8_t *reserve(struct buffer *buffer, size_t size) {
    if (buffer->start == buffer->end) buffer->start = buffer->end = 0;
    if (buffer->end + size > buffer->capacity && buffer->start) {
        memmove(buffer->data, buffer->data + buffer->start, buffer->end - buffer->start);
        buffer->end -= buffer->start;
        buffer->start = 0;
    }
    if (buffer->end + size > buffer->capacity) {
        size_t capacity = buffer->end + size + (buffer->capacity >> 1);
        buffer->data = realloc(buffer->data, capacity);
        if (!buffer->data) fail("no memory for a buffer of %zu bytes", capacity);
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->end;
}

static uint32_t next_mask(void) {
    mask_state ^= mask_state << 13;
    mask_state ^= mask_state >> 17;
    mask_state ^= mask_state << 5;
    return mask_state;
}

static void apply_mask(uint8_t *data, size_t length, uint32_t mask) {
    uint64_t wide = (uint64_t)mask << 32 | mask;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        word ^= wide;
        memcpy(data + i, &word, 8);
    }
    for (; i < length; i++) data[i] ^= (uint8_t)(mask >> (8 * (i & 3)));
}

/* Head of a masked frame; returns where the payload goes. */
static uint8_t *put_head(struct conn *c, int opcode, size_t length, uint32_t mask) {
    uint8_t *at = reserve(&c->out, length + 14);
    *at++ = (uint8_t)(0x80 | opcode);
    if (length < 126) {
        *at++ = (uint8_t)(0x80 | length);
    } else if (length < 65536) {
        *at++ = 0x80 | 126;
        for (int shift = 8; shift >= 0; shift -= 8) *at++ = (uint8_t)(length >> shift);
    } else {
        *at++ = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) *at++ = (uint8_t)((uint64_t)length >> shift);
    }
    memcpy(at, &mask, 4);
    return at + 4;
}

static void finish_frame_out(struct conn *c, uint8_t *payload, size_t length, uint32_t mask) {
    apply_mask(payload, length, mask);
    c->out.end = (size_t)(payload + length - c->out.data);
    mark_dirty(c);
}

void put_message(struct conn *c, const struct content *content, uint32_t sequence) {
    size_t length = content_length(content);
    uint32_t mask = next_mask();
    uint8_t *payload = put_head(c, options.text ? TEXT : BINARY, length, mask), *at = payload;
    memcpy(at, content->prefix, content->prefix_length);
    at += content->prefix_length;
    write_stamp(at, content->stream, sequence);
    memcpy(at + STAMP, pattern + sequence % SHIFTS, content->payload - STAMP);
    at += content->payload;
    if (content->suffix_length) memcpy(at, content->suffix, content->suffix_length);
    finish_frame_out(c, payload, length, mask);
}

void put_control(struct conn *c, int opcode, const void *bytes, size_t length) {
    uint32_t mask = next_mask();
    uint8_t *payload = put_head(c, opcode, length, mask);
    memcpy(payload, bytes, length);
    finish_frame_out(c, payload, length, mask);
}

/* ---- in ---- */

static _Noreturn void fail_content(const struct conn *c, uint64_t position) {
    fail("connection %d, message %u: wrong content at byte %llu", c->index, c->received,
         (unsigned long long)position);
}

/* Compare a piece of the expected message that begins at `from` and is `length` long. */
static void check_part(const struct conn *c, const void *part, size_t from, size_t length,
                       const uint8_t *data, size_t position, size_t count) {
    size_t begin = position > from ? position : from;
    size_t end = position + count < from + length ? position + count : from + length;
    if (begin >= end) return;
    const uint8_t *want = (const uint8_t *)part + (begin - from), *got = data + (begin - position);
    if (memcmp(want, got, end - begin) == 0) return;
    size_t i = 0;
    while (want[i] == got[i]) i++;
    fail_content(c, begin + i);
}

static void check_content(const struct conn *c, const uint8_t *data, size_t count) {
    const struct content *want = &c->expects;
    size_t position = c->in.position, at = want->prefix_length;
    if (position + count > content_length(want)) fail_content(c, content_length(want));
    if (position < at + STAMP) {
        uint8_t stamp[STAMP];
        write_stamp(stamp, want->stream, c->received);
        check_part(c, want->prefix, 0, at, data, position, count);
        check_part(c, stamp, at, STAMP, data, position, count);
    }
    check_part(c, pattern + c->received % SHIFTS, at + STAMP, want->payload - STAMP, data, position,
               count);
    check_part(c, want->suffix, at + want->payload, want->suffix_length, data, position, count);
}

static void end_message(struct conn *c, uint64_t now) {
    struct incoming *in = &c->in;
    in->message_opcode = 0;
    if (c->state == GREETING) {
        *reserve(&c->text, 1) = 0;
        conn_opened(c);
        return;
    }
    if (in->position != content_length(&c->expects)) fail_content(c, in->position);
    counts.messages++;
    counts.bytes += in->position;
    mode->message(c, now);
    c->received++;
}

static void end_frame(struct conn *c, uint64_t now) {
    struct incoming *in = &c->in;
    in->have = 0;
    in->need = 2;
    if (in->opcode < CLOSE) {
        if (in->fin) end_message(c, now);
    } else if (in->opcode == PING) {
        pings++;
        put_control(c, PONG, in->control, in->control_length);
    } else if (in->opcode == CLOSE) {
        if (!mode->closed || c->state != CLOSING) fail("connection %d: the server closed", c->index);
        mode->closed(c, now);
    }
}

static void begin_frame(struct conn *c, uint64_t length) {
    struct incoming *in = &c->in;
    in->fin = in->head[0] & 0x80;
    in->opcode = in->head[0] & 15;
    in->left = length;
    if ((in->head[0] & 0x70) || (in->head[1] & 0x80)) fail("connection %d: odd frame", c->index);
    if (in->opcode >= CLOSE) {
        if (length > sizeof in->control || !in->fin) fail("connection %d: odd control", c->index);
        in->control_length = 0;
        return;
    }
    if (in->opcode == 0 ? !in->message_opcode : in->message_opcode)
        fail("connection %d: fragments out of order", c->index);
    if (in->opcode == 0) return;
    if (c->state == OPEN && in->opcode != (options.text ? TEXT : BINARY))
        fail("connection %d: opcode %d", c->index, in->opcode);
    in->message_opcode = in->opcode;
    in->position = 0;
}

static size_t take_head(struct conn *c, const uint8_t *data, size_t length) {
    struct incoming *in = &c->in;
    size_t count = (size_t)(in->need - in->have) < length ? (size_t)(in->need - in->have) : length;
    memcpy(in->head + in->have, data, count);
    in->have = (uint8_t)(in->have + count);
    if (in->have < in->need) return count;
    uint8_t size = in->head[1] & 127;
    if (in->need == 2 && size >= 126) {
        in->need = size == 126 ? 4 : 10;
        return count;
    }
    uint64_t wide = size;
    if (in->need > 2) wide = 0;
    for (int i = 2; i < in->need; i++) wide = wide << 8 | in->head[i];
    begin_frame(c, wide);
    return count;
}

static size_t take_payload(struct conn *c, const uint8_t *data, size_t length) {
    struct incoming *in = &c->in;
    size_t count = in->left < length ? (size_t)in->left : length;
    if (in->opcode >= CLOSE) {
        memcpy(in->control + in->control_length, data, count);
        in->control_length = (uint8_t)(in->control_length + count);
    } else if (c->state == GREETING) {
        if (c->text.end + count > 512) fail("connection %d: a long greeting", c->index);
        memcpy(reserve(&c->text, count + 1), data, count);
        c->text.end += count;
        in->position += count;
    } else if (c->state == OPEN) {
        check_content(c, data, count);
        in->position += count;
    } else {
        fail("connection %d: a message while closing", c->index);
    }
    in->left -= count;
    return count;
}

void feed(struct conn *c, const uint8_t *data, size_t length, uint64_t now) {
    unsigned generation = c->generation;
    struct incoming *in = &c->in;
    while (length) {
        size_t took = in->have < in->need ? take_head(c, data, length) : take_payload(c, data, length);
        data += took;
        length -= took;
        if (in->have == in->need && in->left == 0) {
            end_frame(c, now);
            if (c->generation != generation) return;
        }
    }
}
