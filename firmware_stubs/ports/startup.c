/* Start of a Cortex-M: vectors, memory, main. A fault starts anew; the host is told at its next word. */
#include <stdint.h>

#include "ep_agent.h"

#ifndef EP_INTERRUPTS
#define EP_INTERRUPTS 0
#endif

extern uint32_t ep_stack_top[], ep_data_load[], ep_data[], ep_data_end[], ep_bss[], ep_bss_end[];
void ep_port_start(void);

void ep_reset(void)
{
    uint32_t *to = ep_data;
    for (const uint32_t *from = ep_data_load; to < ep_data_end;) {
        *to++ = *from++;
    }
    for (to = ep_bss; to < ep_bss_end;) {
        *to++ = 0;
    }
    ep_port_start();
    ep_agent_run();
}

static void fault(void)
{
    *(volatile uint32_t *)0xe000ed0cu = 0x05fa0004u; /* AIRCR: SYSRESETREQ */
    for (;;) {
    }
}

#if EP_INTERRUPTS
void ep_port_interrupt(void);
#endif

typedef void (*Vector)(void);
__attribute__((section(".vectors"), used)) static const Vector vectors[16 + EP_INTERRUPTS] = {
    (Vector)ep_stack_top, ep_reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault,
#if EP_INTERRUPTS
    [16 ... 15 + EP_INTERRUPTS] = ep_port_interrupt,
#endif
};
