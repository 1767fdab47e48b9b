/* Nordic nRF52840 DK over the J-Link's serial port (P0.06 out, P0.08 in). Compiled here; NOT RUN ON HARDWARE HERE. */
#include "../cortex_m.h"
#include "../ring.h"
#include "ep_wire_ids.h"

#include "../board.h"

#define UART(offset) REGISTER(0x40002000u + (offset))
#define GPIO(offset) REGISTER(0x50000000u + (offset))
#define PIN 3u /* P0.03, on the Arduino header as A0 */

void ep_port_start(void)
{
    REGISTER(0x40000000u) = 1; /* HFCLKSTART: the crystal, for the baud rate */
    while (!REGISTER(0x40000100u)) {
    }
    REGISTER(0x4001e540u) = 1; /* the instruction cache */
    ep_cycles_start();
    GPIO(0x508u) = 1u << 6;
    GPIO(0x518u) = 1u << 6 | 1u << PIN;
    GPIO(0x700u + 4u * 8u) = 0; /* PIN_CNF: input, connected */
    UART(0x50cu) = 6;
    UART(0x514u) = 8;
    UART(0x524u) = 0x01d7e000u; /* 115,200 baud */
    UART(0x500u) = 4;
    UART(0x304u) = 1u << 2; /* an interrupt for each byte */
    UART(0x000u) = 1;
    UART(0x008u) = 1;
    ep_interrupt_on(2);
}

void ep_port_interrupt(void)
{
    while (UART(0x108u)) {
        UART(0x108u) = 0;
        ep_ring_put((uint8_t)UART(0x518u));
    }
}

void ep_port_put(uint8_t byte)
{
    UART(0x11cu) = 0;
    UART(0x51cu) = byte;
    while (!UART(0x11cu)) {
    }
}

void ep_port_pin(int state)
{
    GPIO(state ? 0x508u : 0x50cu) = 1u << PIN;
}
