/* What every Cortex-M3, M4 and M7 has: a cycle counter, caches, interrupts; and what the linker script knows. */
#ifndef EP_CORTEX_M_H
#define EP_CORTEX_M_H

#include <stdint.h>

#include "ep_port.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

extern uint8_t ep_ram_free[], ep_ram_end[], ep_stack_low[];
extern uint8_t ep_engine_text[], ep_engine_text_end[], ep_text[], ep_text_end[];
extern uint8_t ep_engine_bss[], ep_engine_bss_end[], ep_data[], ep_data_end[], ep_bss[], ep_bss_end[];

/* DWT's cycle counter, 32 bits; the agent looks at it at least once in every idle round and around every inference, so
 * that an inference must be shorter than 2^32 cycles. */
static inline void ep_cycles_start(void)
{
    REGISTER(0xe000edfcu) |= 1u << 24; /* DEMCR: TRCENA */
    REGISTER(0xe0001fb0u) = 0xc5acce55u; /* the lock that an M7 has */
    REGISTER(0xe0001004u) = 0;
    REGISTER(0xe0001000u) |= 1u;
}

static inline uint64_t ep_cycles(void)
{
    static uint32_t last, high;
    uint32_t low = REGISTER(0xe0001004u);
    if (low < last) {
        high++;
    }
    last = low;
    return (uint64_t)high << 32 | low;
}

static inline void ep_interrupt_on(uint32_t number)
{
    REGISTER(0xe000e100u + 4u * (number / 32u)) = 1u << (number % 32u);
}

static inline void ep_sizes(EpSizes *sizes)
{
    sizes->engine_flash = (uint32_t)(ep_engine_text_end - ep_engine_text);
    sizes->engine_ram = (uint32_t)(ep_engine_bss_end - ep_engine_bss);
    sizes->agent_flash = (uint32_t)(ep_text_end - ep_text + (ep_data_end - ep_data)) - sizes->engine_flash;
    sizes->agent_ram = (uint32_t)(ep_bss_end - ep_bss + (ep_data_end - ep_data)) - sizes->engine_ram;
}

#endif
