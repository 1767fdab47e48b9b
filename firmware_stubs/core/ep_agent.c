#include "ep_agent.h"

#include "ep_blobs.h"
#include "ep_bytes.h"
#include "ep_engine.h"
#include "ep_port.h"
#include "ep_wire.h"

#ifndef EP_PORT_WATCHDOG
#define EP_PORT_WATCHDOG 0
#endif

#define CAPABILITIES                                                                                              \
    (EP_CAN_LATENCY | EP_CAN_MEMORY | EP_CAN_OPERATORS | EP_CAN_OUTPUTS | EP_CAN_SUSTAINED | EP_CAN_BLOB_CHUNKS \
     | EP_CAN_CANCEL | EP_CAN_RESEND)
#define MOST_OPERATOR_RUNS 50u
#define MOST_WARMUPS 20u
#ifndef ALIVE_MS
#define ALIVE_MS 2000u
#endif
#define PAINT 0xa5u
#define OWN_FRAME 64 /* more than the frame of paint() */
#define SAMPLES ((EP_MAX_FRAME - 22u) / EP_SAMPLE_BYTES)

/* ── the conversation ── */

static struct {
    uint16_t expected; /* the sequence of the host's next frame */
    uint8_t greeted;   /* it has said Ask */
    uint8_t waiting;   /* `expected` was asked for again: so many more bad frames until it is once more */
    EpBlob *coming;
    uint32_t chunks;
} host;

/* The pass that is running. */
static struct {
    uint16_t number;
    uint8_t running, cancelled, silenced;
    uint32_t runs, warmup, batch, duration_ms;
    EpBlob *model, *inputs;
    const uint8_t *values; /* the inputs' bytes, inference after inference */
    uint32_t inferences;
    uint8_t *spare; /* memory behind the arena */
    uint32_t spare_bytes;
    uint64_t spoke_at;
    uint64_t quiet_since, apart; /* of the inferences that are timed: the last look, and what speaking took */
    uint32_t sent_samples, crc;
    uint8_t slow; /* an inference takes so long that the agent speaks between its operators */
} pass;

/* Samples that wait to be sent. */
static struct {
    uint32_t count, first, batch;
    uint64_t starts[SAMPLES], durations[SAMPLES];
    uint8_t flags[SAMPLES];
} block;

static void fail(uint32_t run, uint32_t code, const char *text)
{
    ep_wire_begin(EP_MSG_FAILED);
    ep_put16(run);
    ep_put8(code);
    ep_put_text(EP_TAG_FAILED_TEXT, text);
    ep_wire_send();
}

static void ask_again(void)
{
    ep_wire_begin(EP_MSG_RESEND);
    ep_put16(host.expected);
    ep_wire_send();
    host.waiting = EP_WINDOW;
}

/* A frame was bad or came too early. Asking each time would call forth more frames than it mends. */
static void miss(void)
{
    if (host.waiting) {
        host.waiting--;
    } else {
        ask_again();
    }
}

static void note(uint32_t run, const char *code, const char *text)
{
    ep_wire_begin(EP_MSG_NOTE);
    ep_put16(run);
    ep_put_text(EP_TAG_NOTE_CODE, code);
    ep_put_text(EP_TAG_NOTE_TEXT, text);
    ep_wire_send();
}

static void hello(const EpFrame *frame)
{
    ep_wire_limit(EP_FIRST_FRAME_BYTES);
    ep_wire_begin(EP_MSG_HELLO);
    ep_put8(EP_MAJOR);
    ep_put8(EP_MINOR);
    ep_put16(EP_MAX_FRAME);
    ep_put8(EP_WINDOW);
    ep_put8(ep_port_basis());
    ep_put8(ep_port_counter_unit());
    ep_put64(ep_port_counter_hz());
    ep_put32(CAPABILITIES);
    ep_put_text(EP_TAG_HELLO_AGENT, "edgeprof firmware " EP_VERSION);
    ep_put_text(EP_TAG_HELLO_BOARD, ep_port_board());
    ep_put_text(EP_TAG_HELLO_FORMATS, ep_engine_formats());
    ep_put_text(EP_TAG_HELLO_ENGINE, ep_engine_name());
    ep_wire_send();
    ep_wire_limit(frame->size >= EP_FIXED_ASK ? ep_read16(frame->payload + 2) : EP_FIRST_FRAME_BYTES);
}

static void blob_status(uint32_t received, uint32_t state)
{
    ep_wire_begin(EP_MSG_BLOB_STATUS);
    ep_put64(received);
    ep_put8(state);
    ep_wire_send();
}

static void blob_begin(const EpFrame *frame)
{
    uint64_t size = ep_read64(frame->payload);
    const uint8_t *sha256 = frame->payload + 8;
    EpBlob *blob = ep_blob_find(sha256);
    host.chunks = 0;
    host.coming = 0;
    if (blob && !ep_blob_sound(blob)) { /* what has lain in memory since another conversation may have been written over */
        note(0, "blob-replaced", "in its memory");
        blob = 0;
    }
    if (blob && blob->size == size) {
        blob_status(blob->size, EP_BLOB_PRESENT);
        return;
    }
    blob = size >> 32 ? 0 : ep_blob_begin(sha256, (uint32_t)size);
    if (!blob) {
        fail(0, EP_FAILURE_OUT_OF_MEMORY, "the blob is larger than the board's memory for models and inputs");
        return;
    }
    host.coming = blob;
    blob_status(blob->received, blob->received ? EP_BLOB_PARTIAL : EP_BLOB_ABSENT);
}

static void blob_chunk(const EpFrame *frame)
{
    uint32_t size;
    const uint8_t *content = ep_wire_field(frame, EP_FIXED_BLOB_CHUNK, EP_TAG_BLOB_CHUNK_CONTENT, &size);
    if (!host.coming) {
        fail(0, EP_FAILURE_BAD_REQUEST, "a chunk without a blob");
        return;
    }
    ep_blob_append(host.coming, ep_read64(frame->payload), content, size);
    host.chunks++;
    if (host.coming->received == host.coming->size) {
        uint32_t whole = host.coming->size;
        if (!host.coming->whole && !ep_blob_check(host.coming)) {
            host.coming = 0;
            fail(0, EP_FAILURE_BLOB_CORRUPT, "the blob arrived with another hash");
            return;
        }
        blob_status(whole, EP_BLOB_PRESENT);
    } else if (host.chunks % EP_WINDOW == 0) {
        blob_status(host.coming->received, EP_BLOB_PARTIAL);
    }
}

static void pong(const EpFrame *frame)
{
    ep_wire_begin(EP_MSG_PONG);
    ep_put32(ep_read32(frame->payload));
    ep_put64(ep_port_clock());
    ep_wire_send();
}

static void run(const EpFrame *frame);

static void answer(const EpFrame *frame)
{
    static const uint8_t fixed[] = {
        [EP_MSG_BLOB_BEGIN] = EP_FIXED_BLOB_BEGIN,
        [EP_MSG_BLOB_CHUNK] = EP_FIXED_BLOB_CHUNK,
        [EP_MSG_RUN] = EP_FIXED_RUN,
        [EP_MSG_CANCEL] = EP_FIXED_CANCEL,
        [EP_MSG_PING] = EP_FIXED_PING,
        [EP_MSG_BYE] = EP_FIXED_BYE,
    };
    if (frame->type >= sizeof fixed || !fixed[frame->type] || frame->size < fixed[frame->type]) {
        fail(0, EP_FAILURE_BAD_REQUEST, "this agent does not answer such a message");
        return;
    }
    if (frame->type == EP_MSG_PING) {
        pong(frame);
    } else if (frame->type == EP_MSG_CANCEL) {
        if (pass.running && ep_read16(frame->payload) == pass.number) {
            pass.cancelled = 1;
        }
    } else if (frame->type == EP_MSG_BYE) {
        pass.cancelled = pass.silenced = 1;
        if (!pass.running) {
            ep_port_bye();
        }
    } else if (pass.running) {
        fail(0, EP_FAILURE_BAD_REQUEST, "a pass is running");
    } else if (frame->type == EP_MSG_RUN) {
        run(frame);
    } else if (frame->type == EP_MSG_BLOB_BEGIN) {
        blob_begin(frame);
    } else {
        blob_chunk(frame);
    }
}

/* A frame whose CRC was right. Ask opens a conversation whatever came before; all others must come in their order. */
static void hear(const EpFrame *frame)
{
    if (frame->type == EP_MSG_ASK) {
        host.greeted = 1;
        host.waiting = 0;
        host.expected = (uint16_t)(frame->sequence + 1);
        pass.cancelled = pass.silenced = 1;
        hello(frame);
        return;
    }
    if (!host.greeted) {
        fail(0, EP_FAILURE_BAD_REQUEST, "the board was reset: a conversation begins with Ask");
        return;
    }
    uint16_t ahead = (uint16_t)(frame->sequence - host.expected);
    int repeats = frame->type == EP_MSG_RESEND && frame->size >= 2;
    if (ahead >= 0x8000u) {
        return; /* it has been here before */
    }
    if (!ahead) {
        host.expected++;
        host.waiting = 0;
    } else if (repeats) {
        ask_again(); /* the host may not have heard us ask */
    } else {
        miss();
    }
    if (repeats) {
        if (!ep_wire_again(ep_read16(frame->payload))) {
            fail(0, EP_FAILURE_INTERNAL, "the frames that the host misses are no longer here");
        }
    } else if (!ahead) {
        answer(frame);
    }
}

/* Take what has come; tell whether anything had. */
static int listen(void)
{
    uint8_t byte;
    EpFrame frame;
    int any = 0;
    while (ep_port_get(&byte)) {
        any = 1;
        switch (ep_wire_take(byte, &frame)) {
        case EP_FRAME_WHOLE:
            hear(&frame);
            break;
        case EP_FRAME_BAD:
            if (host.greeted) {
                miss();
            }
            break;
        default:
            break;
        }
    }
    return any;
}

void ep_agent_run(void)
{
    ep_port_pin(EP_PIN_IDLE);
    for (;;) {
        ep_port_watchdog();
        if (!listen()) {
            (void)ep_port_clock(); /* a counter of 32 bits is to be seen once a round */
        }
    }
}

/* ── what a pass says ── */

static void mark(uint32_t kind, uint64_t value)
{
    ep_wire_begin(EP_MSG_MARK);
    ep_put16(pass.number);
    ep_put8(kind);
    ep_put64(value);
    ep_wire_send();
}

static void started(void)
{
    ep_wire_begin(EP_MSG_STARTED);
    ep_put16(pass.number);
    ep_put_bytes(pass.model->sha256, 32);
    ep_put_text(EP_TAG_STARTED_RUNTIME, ep_engine_name());
    ep_wire_send();
}

static void send_samples(void)
{
    uint32_t count = block.count;
    const uint8_t *flags = block.flags;
    if (!count) {
        return;
    }
    ep_wire_begin(EP_MSG_SAMPLES);
    ep_put16(pass.number);
    ep_put32(block.first);
    ep_put16(count);
    ep_put32(block.batch);
    ep_put8(EP_TAG_SAMPLES_COLUMNS);
    ep_put16(count * EP_SAMPLE_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        ep_put64(block.starts[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        ep_put64(block.durations[i]);
    }
    ep_put_bytes(flags, count);
    /* The cores that this runs on are little-endian: the columns lie in memory as they travel. */
    pass.crc = ep_crc32(pass.crc, block.starts, count * 8);
    pass.crc = ep_crc32(pass.crc, block.durations, count * 8);
    pass.crc = ep_crc32(pass.crc, flags, count);
    pass.sent_samples += count;
    block.first += count;
    block.count = 0;
    ep_wire_send();
    pass.spoke_at = ep_port_clock();
}

static void add_sample(uint64_t start, uint64_t duration, uint32_t flags, uint32_t batch)
{
    uint32_t room = (ep_wire_frame_bytes() - 22u) / EP_SAMPLE_BYTES;
    if (block.count >= room || (block.count && block.batch != batch)) {
        send_samples();
    }
    if (block.first && block.count == 0) {
        flags |= EP_FLAG_AFTER_SEND;
    }
    block.batch = batch;
    block.starts[block.count] = start;
    block.durations[block.count] = duration;
    block.flags[block.count] = (uint8_t)flags;
    block.count++;
}

/* ── the passes ── */

/* Without a 64-bit division, which would bring a library along; exact for rates of whole kHz. */
static uint64_t ticks_of_ms(uint32_t ms)
{
    return (uint64_t)(ep_port_counter_hz() / 1000u) * ms;
}

static void give_inputs(uint32_t inference)
{
    const uint8_t *from = pass.values;
    uint32_t inputs = ep_engine_inputs(), all = 0;
    EpTensor tensor;
    for (uint32_t i = 0; i < inputs; i++) {
        ep_engine_input(i, &tensor);
        all += tensor.bytes;
    }
    from += (uint32_t)(all * inference);
    for (uint32_t i = 0; i < inputs; i++) {
        ep_engine_input(i, &tensor);
        ep_move(tensor.data, from, tensor.bytes);
        from += tensor.bytes;
    }
}

static void alive(void)
{
    ep_wire_begin(EP_MSG_ALIVE);
    ep_put16(pass.number);
    ep_wire_send();
    pass.spoke_at = ep_port_clock();
}

/* Between two inferences: the host is heard, the watchdog fed, a long silence broken. Says whether to go on. */
static int go_on(void)
{
    ep_port_watchdog();
    listen();
    if (ep_port_clock() - pass.spoke_at > ticks_of_ms(ALIVE_MS)) {
        if (block.count) {
            send_samples();
        } else {
            alive();
        }
    }
    return !pass.cancelled;
}

#if EP_PORT_WATCHDOG
static void feed(uint32_t index)
{
    (void)index;
    ep_port_watchdog();
}
#define FEED feed
#else
#define FEED 0
#endif

/* Between two operators of a slow inference: say that the board works. What that takes is told apart from the inference.
 * It counts from the inference's own beginning, so that it falls on the same operators each time. */
static void speak(uint32_t index)
{
    uint64_t at = ep_port_clock();
    (void)index;
    if (at - pass.quiet_since > ticks_of_ms(ALIVE_MS)) {
        ep_port_watchdog();
        alive();
        pass.quiet_since = ep_port_clock();
        pass.apart += pass.quiet_since - at;
#if EP_PORT_WATCHDOG
    } else {
        ep_port_watchdog();
#endif
    }
}

static const char *timed(int pin, uint32_t batch, uint64_t *start, uint64_t *duration)
{
    const char *why = 0;
    EpAfterOperator after = pass.slow ? speak : FEED;
    pass.apart = 0;
    ep_port_pin(pin);
    pass.quiet_since = ep_port_clock();
    *start = ep_port_clock();
    do {
        why = ep_engine_invoke(after);
    } while (!why && --batch);
    *duration = ep_port_clock() - *start - pass.apart;
    ep_port_pin(EP_PIN_IDLE);
    return why;
}

/* The flag of the sample that was timed last: what was sent in its middle has moved the caches. */
static uint32_t spoken(void)
{
    return pass.apart ? EP_FLAG_AFTER_SEND : 0;
}

static int is_steady(const uint64_t last[3])
{
    uint64_t low = last[0], high = last[0];
    for (int i = 1; i < 3; i++) {
        low = last[i] < low ? last[i] : low;
        high = last[i] > high ? last[i] : high;
    }
    return (high - low) * 20 <= low;
}

/* As many as were asked for; else until three in a row are within 5 %, and none where instructions are counted. */
static const char *warm_up(void)
{
    uint64_t start, last[3] = {0, 0, 0};
    uint32_t wanted = pass.warmup, done = 0;
    int chosen = wanted == EP_AUTO;
    if (chosen) {
        wanted = ep_port_counter_unit() == EP_UNIT_INSTRUCTIONS ? 0 : MOST_WARMUPS;
    }
    while (done < wanted && go_on() && !(chosen && done >= 3 && is_steady(last))) {
        give_inputs(0);
        const char *why = timed(EP_PIN_OTHER, 1, &start, &last[done % 3]);
        if (why) {
            return why;
        }
        add_sample(start, last[done % 3], EP_FLAG_WARMUP | spoken(), 1);
        done++;
    }
    mark(EP_MARK_STEADY, !chosen || !wanted || is_steady(last));
    return 0;
}

static const char *latency(void)
{
    uint64_t start, duration;
    give_inputs(0);
    const char *why = timed(EP_PIN_OTHER, 1, &start, &duration);
    if (why) {
        return why;
    }
    mark(EP_MARK_FIRST_TICKS, duration);
    uint32_t batch = pass.batch == EP_AUTO || !pass.batch ? 1 : pass.batch;
    pass.slow = duration * batch > ticks_of_ms(ALIVE_MS);
    why = warm_up();
    send_samples();
    uint64_t began = ep_port_clock();
    uint64_t most = ticks_of_ms(pass.duration_ms);
    for (uint32_t i = 0; !why && go_on() && (!pass.runs || i < pass.runs); i++) {
        if (pass.duration_ms && ep_port_clock() - began >= most) {
            break;
        }
        give_inputs(0);
        why = timed(EP_PIN_SAMPLE, batch, &start, &duration);
        add_sample(start, duration, spoken(), batch);
    }
    send_samples();
    return why;
}

/* Paint the stack below the caller and tell where its callees' frames begin. */
static __attribute__((noinline)) uint8_t *paint(uint8_t *low)
{
    uint8_t *top = __builtin_frame_address(0);
    for (volatile uint8_t *at = low; at < top - OWN_FRAME; at++) {
        *at = PAINT;
    }
    return top;
}

static const char *memory(void)
{
    EpSizes sizes;
    give_inputs(0);
    volatile uint8_t *low = ep_port_stack();
    uint8_t *top = low ? paint((uint8_t *)low) : 0;
    const char *why = ep_engine_invoke(speak);
    while (low < top && *low == PAINT) {
        low++;
    }
    ep_port_sizes(&sizes);
    mark(EP_MARK_ARENA_BYTES, ep_engine_arena_used());
    if (low) {
        mark(EP_MARK_STACK_PEAK_BYTES, (uint64_t)(top - low));
    }
    mark(EP_MARK_STATIC_RAM_BYTES, sizes.engine_ram);
    mark(EP_MARK_PROGRAM_BYTES, ep_engine_model_bytes());
    mark(EP_MARK_FLASH_BYTES, sizes.engine_flash + ep_engine_model_bytes());
    mark(EP_MARK_AGENT_FLASH_BYTES, sizes.agent_flash);
    mark(EP_MARK_AGENT_RAM_BYTES, sizes.agent_ram);
    return why;
}

static uint64_t *operator_ticks, operator_from;

static void count_operator(uint32_t index)
{
    uint64_t at = ep_port_clock();
    operator_ticks[index] += at - operator_from;
    speak(index);
    operator_from = ep_port_clock();
}

static const char *operators(void)
{
    uint32_t count = ep_engine_operators(), done = 0;
    uint32_t runs = pass.runs && pass.runs < MOST_OPERATOR_RUNS ? pass.runs : MOST_OPERATOR_RUNS;
    const char *why = 0;
    operator_ticks = (uint64_t *)(void *)pass.spare;
    if (pass.spare_bytes < count * sizeof(uint64_t)) {
        return "there is no memory left for the operators' times";
    }
    ep_fill(pass.spare, 0, count * (uint32_t)sizeof(uint64_t));
    for (; !why && done < runs && go_on(); done++) {
        give_inputs(0);
        operator_from = ep_port_clock();
        why = ep_engine_invoke(count_operator);
    }
    for (uint32_t i = 0; i < count && !why && !pass.cancelled; i++) {
        const char *name, *type;
        uint32_t position = ep_engine_operator(i, &name, &type);
        ep_wire_begin(EP_MSG_OPERATOR_TIME);
        ep_put16(pass.number);
        ep_put16(position);
        ep_put32(done);
        ep_put64(operator_ticks[i]);
        ep_put_text(EP_TAG_OPERATOR_TIME_TYPE, type);
        ep_put_text(EP_TAG_OPERATOR_TIME_NAME, name);
        ep_wire_send();
    }
    return why;
}

static void send_output(uint32_t inference, uint32_t index)
{
    EpTensor tensor;
    ep_engine_output(index, &tensor);
    uint32_t at = 0;
    do {
        ep_wire_begin(EP_MSG_OUTPUT);
        ep_put16(pass.number);
        ep_put32(inference);
        ep_put16(index);
        ep_put64(at);
        ep_put64(tensor.bytes);
        ep_put_text(EP_TAG_OUTPUT_DTYPE, tensor.type);
        ep_put_text(EP_TAG_OUTPUT_SHAPE, tensor.shape);
        ep_put_text(EP_TAG_OUTPUT_NAME, tensor.name);
        uint32_t size = tensor.bytes - at, room = ep_wire_room() - 3;
        size = size < room ? size : room;
        ep_put_field(EP_TAG_OUTPUT_CONTENT, tensor.data + at, size);
        ep_wire_send();
        at += size;
    } while (at < tensor.bytes);
}

static const char *outputs(void)
{
    const char *why = 0;
    for (uint32_t i = 0; !why && i < pass.inferences && go_on(); i++) {
        give_inputs(i);
        why = ep_engine_invoke(speak);
        for (uint32_t j = 0; !why && j < ep_engine_outputs(); j++) {
            send_output(i, j);
        }
    }
    return why;
}

/* ── a pass from its order to its end ── */

/* The inputs' blob is "EPIN", a header's length, a header in JSON that is not needed here, and the values. */
static const char *find_values(void)
{
    const uint8_t *bytes = pass.inputs->bytes;
    uint32_t size = pass.inputs->size, all = 0;
    if (size < 8 || !ep_same(bytes, "EPIN", 4) || ep_read32(bytes + 4) > size - 8) {
        return "these are no inputs";
    }
    pass.values = bytes + 8 + ep_read32(bytes + 4);
    size -= 8 + ep_read32(bytes + 4);
    for (uint32_t i = 0; i < ep_engine_inputs(); i++) {
        EpTensor tensor;
        ep_engine_input(i, &tensor);
        all += tensor.bytes;
    }
    pass.inferences = all ? size / all : 1;
    if (!pass.inferences || pass.inferences * all != size) {
        return "the inputs are not those of this model";
    }
    return 0;
}

static int load(void)
{
    const char *why = "";
    uint32_t size, needed = ep_engine_arena_needed(pass.model->bytes, pass.model->size);
    uint8_t model[32], inputs[32];
    ep_move(model, pass.model->sha256, 32);
    ep_move(inputs, pass.inputs->sha256, 32);
    uint8_t *arena = ep_blob_rest(pass.model, pass.inputs, needed + 4096, &size);
    pass.model = ep_blob_find(model); /* what is in memory may have been moved */
    pass.inputs = ep_blob_find(inputs);
    ep_port_pin(EP_PIN_OTHER);
    uint64_t start = ep_port_clock();
    EpStatus status = ep_engine_load(pass.model->bytes, pass.model->size, arena, size, &why);
    uint64_t duration = ep_port_clock() - start;
    ep_port_pin(EP_PIN_IDLE);
    if (status != EP_OK) {
        fail(pass.number, status == EP_REJECTED ? EP_FAILURE_MODEL_REJECTED : EP_FAILURE_OUT_OF_MEMORY, why);
        return 0;
    }
    why = find_values();
    if (why) {
        fail(pass.number, EP_FAILURE_BAD_REQUEST, why);
        return 0;
    }
    uint32_t used = (ep_engine_arena_used() + 15u) & ~15u;
    pass.spare = arena + used;
    pass.spare_bytes = used < size ? size - used : 0;
    started();
    mark(EP_MARK_LOAD_TICKS, duration);
    return 1;
}

static void carry_out(uint32_t kind)
{
    static const char *(*const passes[])(void) = {
        [EP_PASS_LATENCY] = latency, [EP_PASS_MEMORY] = memory,     [EP_PASS_OPERATORS] = operators,
        [EP_PASS_OUTPUTS] = outputs, [EP_PASS_SUSTAINED] = latency,
    };
    const char *why = passes[kind]();
    if (pass.silenced) {
        return; /* another host, or none, is listening now */
    }
    if (pass.cancelled) {
        fail(pass.number, EP_FAILURE_CANCELLED, "the host asked for it");
    } else if (why) {
        fail(pass.number, EP_FAILURE_INTERNAL, why);
    } else {
        ep_wire_begin(EP_MSG_DONE);
        ep_put16(pass.number);
        ep_put32(pass.sent_samples);
        ep_put32(pass.crc);
        ep_wire_send();
    }
}

static void run(const EpFrame *frame)
{
    const uint8_t *from = frame->payload;
    uint32_t size, kind = from[2];
    const uint8_t *inputs = ep_wire_field(frame, EP_FIXED_RUN, EP_TAG_RUN_INPUTS, &size);
    pass.number = ep_read16(from);
    if (kind > EP_PASS_SUSTAINED) {
        fail(pass.number, EP_FAILURE_BAD_REQUEST, "this agent does not know such a pass");
        return;
    }
    pass.model = ep_blob_find(from + 21);
    pass.inputs = inputs && size == 32 ? ep_blob_find(inputs) : 0;
    if (pass.model) {
        pass.model = ep_blob_find(from + 21); /* finding the other may have moved it */
    }
    if (!pass.model || !pass.inputs) {
        fail(pass.number, EP_FAILURE_UNKNOWN_BLOB, "the model or its inputs are not here");
        return;
    }
    pass.runs = ep_read32(from + 3);
    pass.warmup = ep_read32(from + 7);
    pass.batch = ep_read32(from + 11);
    pass.duration_ms = ep_read32(from + 17);
    pass.cancelled = pass.silenced = 0;
    pass.sent_samples = pass.crc = block.count = block.first = 0;
    pass.spoke_at = pass.quiet_since = ep_port_clock();
    pass.slow = 1; /* until the first inference tells */
    pass.running = 1;
    host.coming = 0;
    if (load()) {
        carry_out(kind);
    }
    pass.running = 0;
}
