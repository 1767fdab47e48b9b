/* Arm MPS2 with the images AN385 (Cortex-M3), AN386 (M4) and AN500 (M7), as QEMU emulates them.
 *
 * Started with `-icount shift=6` an instruction takes 64 ns of QEMU's time and a tick of the 25 MHz timer 40 ns, so that
 * the timer counts instructions: after n of them QEMU has moved it by ceil(8 n / 5) - 1 ticks, floor(5 ticks / 8) is n - 1 for
 * every n, and differences are exact. An emulator that moves it by ceil(8 n / 5) gives n.
 * Whether that is so is measured at start with a loop of a known number of instructions; where it is not (no icount, a real
 * MPS2), the counter says seconds, at 25 MHz.
 */
#include "ep_port.h"
#include "ep_wire_ids.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define UART_DATA REGISTER(0x40004000u)
#define UART_STATE REGISTER(0x40004004u)
#define UART_CTRL REGISTER(0x40004008u)
#define UART_BAUDDIV REGISTER(0x40004010u)
#define TIMER_CTRL REGISTER(0x40000000u)
#define TIMER_VALUE REGISTER(0x40000004u)
#define TIMER_RELOAD REGISTER(0x40000008u)
#define LEDS REGISTER(0x40028000u)
#define HZ 25000000u
#define INSTRUCTIONS_HZ (HZ / 8u * 5u)
#define BAUD 115200u
#define PRELOADED_MAGIC 0x4c505045u /* "EPPL" */

extern uint8_t ep_ram_free[], ep_ram_end[], ep_stack_low[];
extern uint8_t ep_engine_text[], ep_engine_text_end[], ep_text[], ep_text_end[];
extern uint8_t ep_engine_bss[], ep_engine_bss_end[], ep_data[], ep_data_end[], ep_bss[], ep_bss_end[];

static uint32_t last_low, high;
static uint8_t counts_instructions;

static uint64_t ticks(void)
{
    uint32_t low = ~TIMER_VALUE;
    if (low < last_low) {
        high++;
    }
    last_low = low;
    return (uint64_t)high << 32 | low;
}

static uint32_t time_of_loop(uint32_t rounds)
{
    uint32_t before = TIMER_VALUE;
    __asm__ volatile("1: subs %0, #1\n bne 1b" : "+r"(rounds) : : "cc");
    return before - TIMER_VALUE;
}

/* 1,000 rounds more are 2,000 instructions more, give or take what the compiler puts beside the loop: 3,200 ticks. */
static int is_counting(void)
{
    for (int i = 0; i < 4; i++) {
        uint32_t more = time_of_loop(2000) - time_of_loop(1000);
        if (more < 3195 || more > 3205) {
            return 0;
        }
    }
    return 1;
}

void ep_port_start(void)
{
    UART_BAUDDIV = HZ / BAUD;
    UART_CTRL = 3;
    TIMER_RELOAD = 0xffffffffu;
    TIMER_VALUE = 0xffffffffu;
    TIMER_CTRL = 1;
    counts_instructions = (uint8_t)is_counting();
}

int ep_port_get(uint8_t *byte)
{
    if (!(UART_STATE & 2u)) {
        return 0;
    }
    *byte = (uint8_t)UART_DATA;
    return 1;
}

void ep_port_put(uint8_t byte)
{
    while (UART_STATE & 1u) {
    }
    UART_DATA = byte;
}

uint64_t ep_port_clock(void)
{
    uint64_t now = ticks();
    return counts_instructions ? now * 5 >> 3 : now;
}

uint8_t ep_port_counter_unit(void)
{
    return counts_instructions ? EP_UNIT_INSTRUCTIONS : EP_UNIT_SECONDS;
}

uint32_t ep_port_counter_hz(void)
{
    return counts_instructions ? INSTRUCTIONS_HZ : HZ;
}

uint8_t ep_port_basis(void)
{
    return EP_BASIS_EMULATED;
}

const char *ep_port_board(void)
{
    return EP_BOARD;
}

void ep_port_pin(int state)
{
    LEDS = (uint32_t)state;
}

void ep_port_watchdog(void)
{
}

uint8_t *ep_port_memory(uint32_t *size)
{
    *size = (uint32_t)(ep_ram_end - ep_ram_free);
    return ep_ram_free;
}

uint8_t *ep_port_stack(void)
{
    return ep_stack_low;
}

void ep_port_sizes(EpSizes *sizes)
{
    sizes->engine_flash = (uint32_t)(ep_engine_text_end - ep_engine_text);
    sizes->engine_ram = (uint32_t)(ep_engine_bss_end - ep_engine_bss);
    sizes->agent_flash = (uint32_t)(ep_text_end - ep_text + (ep_data_end - ep_data)) - sizes->engine_flash;
    sizes->agent_ram = (uint32_t)(ep_bss_end - ep_bss + (ep_data_end - ep_data)) - sizes->engine_ram;
}

/* QEMU's `-device loader` can put blobs into the PSRAM: "EPPL", then size and content, padded to 16, until a size of 0. */
const uint8_t *ep_port_preloaded(uint32_t index, uint32_t *size)
{
    const uint8_t *at = (const uint8_t *)EP_PSRAM;
    if (*(const volatile uint32_t *)at != PRELOADED_MAGIC) {
        return 0;
    }
    at += 16;
    for (;; index--) {
        *size = *(const volatile uint32_t *)at;
        if (!*size || *size > EP_PSRAM_BYTES - (uint32_t)(at - (const uint8_t *)EP_PSRAM)) {
            return 0;
        }
        if (!index) {
            return at + 16;
        }
        at += 16u + ((*size + 15u) & ~15u);
    }
}

void ep_port_bye(void)
{
}
