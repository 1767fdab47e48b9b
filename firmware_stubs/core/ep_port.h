/* What a board gives the agent. A port is one file that defines these; ports/mps2/port.c is one to start from.
 *
 * Everything but ep_port_clock is called outside timed regions; in the middle of an inference of more than two seconds the
 * agent sends a frame and feeds the watchdog between two operators, and takes the time for that out of the sample.
 */
#ifndef EP_PORT_H
#define EP_PORT_H

#include <stdint.h>

/* One byte of the serial line: 1 and the byte, or 0 when none has come. A line that comes in while an inference runs
 * must be kept (an interrupt that fills a ring of EP_WINDOW * EP_MAX_FRAME bytes) or held back (hardware flow control):
 * the agent looks between two inferences and not during one. */
int ep_port_get(uint8_t *byte);

/* Send one byte; may wait. */
void ep_port_put(uint8_t byte);

/* The counter, as 64 bits that do not wrap and do not go back. What it counts, and how fast: */
uint64_t ep_port_clock(void);
uint8_t ep_port_counter_unit(void); /* EP_UNIT_SECONDS, EP_UNIT_CYCLES or EP_UNIT_INSTRUCTIONS */
uint32_t ep_port_counter_hz(void);

/* EP_BASIS_MEASURED on a board, EP_BASIS_EMULATED in an emulator. */
uint8_t ep_port_basis(void);

/* What the board is called. */
const char *ep_port_board(void);

/* A pin for a power meter: idle, something else that works (loading, first inference, warm-up), a sample. */
enum { EP_PIN_IDLE = 0, EP_PIN_OTHER = 1, EP_PIN_SAMPLE = 2 };
void ep_port_pin(int state);

/* Feed the watchdog, if one runs. Called while waiting, between inferences, and where EP_PORT_WATCHDOG is 1 also between
 * the operators of an inference. */
void ep_port_watchdog(void);

/* Memory for models, inputs and the arena: 16-byte aligned. */
uint8_t *ep_port_memory(uint32_t *size);

/* The lowest address of the stack: what lies between it and the caller may be painted. NULL where it may not. */
uint8_t *ep_port_stack(void);

/* Bytes of the engine's code with its constants, of its static RAM, and the same of everything else. */
typedef struct EpSizes {
    uint32_t engine_flash, engine_ram, agent_flash, agent_ram;
} EpSizes;
void ep_port_sizes(EpSizes *sizes);

/* A blob that was put into memory without the line (a debugger, an emulator's loader): where blob `index` lies and
 * how large it is, or NULL. The agent believes it only when its SHA-256 is right. */
const uint8_t *ep_port_preloaded(uint32_t index, uint32_t *size);

/* The host is done. An emulator may end; a board does nothing. */
void ep_port_bye(void);

#endif
