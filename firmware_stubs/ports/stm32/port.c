/* ST Nucleo-144 boards over the ST-LINK's serial port. Compiled here; NOT RUN ON HARDWARE HERE. */
#include "../cortex_m.h"
#include "../ring.h"
#include "ep_wire_ids.h"

#include "../board.h"

#define BAUD 115200u
#define GPIO_MODER 0x00u
#define GPIO_BSRR 0x18u
#define GPIO_AFR 0x20u
#define UART_CR1 REGISTER(EP_UART + 0x00u)
#define UART_BRR REGISTER(EP_UART + 0x0cu)
#define UART_ISR REGISTER(EP_UART + 0x1cu)
#define UART_ICR REGISTER(EP_UART + 0x20u)
#define UART_RDR REGISTER(EP_UART + 0x24u)
#define UART_TDR REGISTER(EP_UART + 0x28u)

static void pin_mode(uint32_t port, uint32_t pin, uint32_t mode, uint32_t alternate)
{
    uint32_t afr = port + GPIO_AFR + 4u * (pin / 8u), at = 4u * (pin % 8u);
    REGISTER(afr) = (REGISTER(afr) & ~(0xfu << at)) | alternate << at;
    REGISTER(port + GPIO_MODER) = (REGISTER(port + GPIO_MODER) & ~(3u << 2u * pin)) | mode << 2u * pin;
}

#ifdef EP_STM32L4
/* MSI at 48 MHz; the pins of port G have a supply of their own; LPUART1 on PG7 and PG8, LED LD1 on PC7. */
static void clocks(void)
{
    REGISTER(0x40022000u) = (REGISTER(0x40022000u) & ~0xfu) | 3u; /* FLASH_ACR: wait states */
    REGISTER(0x40021000u) = (REGISTER(0x40021000u) & ~0xf0u) | 0xb0u | 8u; /* RCC_CR: MSI range 11, from here */
    while (!(REGISTER(0x40021000u) & 2u)) {
    }
    REGISTER(0x40021058u) |= 1u << 28; /* PWR */
    REGISTER(0x4002104cu) |= 1u << 6 | 1u << 2; /* GPIOG, GPIOC */
    REGISTER(0x4002105cu) |= 1u; /* LPUART1 */
    (void)REGISTER(0x4002105cu);
    REGISTER(0x40007004u) |= 1u << 9; /* PWR_CR2: IOSV */
}
#define DIVISOR ((uint32_t)((uint64_t)EP_CLOCK_HZ * 256u / BAUD)) /* LPUART */
#endif

#ifdef EP_STM32H7
/* HSI at 64 MHz, as after reset, caches on; USART3 on PD8 and PD9, LED LD1 on PB0. */
static void clocks(void)
{
    REGISTER(0xe000ef50u) = 0; /* ICIALLU */
    __asm__ volatile("dsb\n isb" : : : "memory");
    REGISTER(0xe000ed84u) = 0; /* CSSELR: data cache, level 1 */
    __asm__ volatile("dsb" : : : "memory");
    uint32_t size = REGISTER(0xe000ed80u);
    for (uint32_t set = 0; set <= (size >> 13 & 0x7fffu); set++) {
        for (uint32_t way = 0; way <= (size >> 3 & 0x3ffu); way++) {
            REGISTER(0xe000ef60u) = set << 5 | way << 30; /* DCISW */
        }
    }
    __asm__ volatile("dsb" : : : "memory");
    REGISTER(0xe000ed14u) |= 1u << 16 | 1u << 17; /* CCR: DC, IC */
    __asm__ volatile("dsb\n isb" : : : "memory");
    REGISTER(0x580244e0u) |= 1u << 1 | 1u << 3; /* GPIOB, GPIOD */
    REGISTER(0x580244e8u) |= 1u << 18; /* USART3 */
    (void)REGISTER(0x580244e8u);
}
#define DIVISOR ((EP_CLOCK_HZ + BAUD / 2u) / BAUD)
#endif

void ep_port_start(void)
{
    clocks();
    ep_cycles_start();
    pin_mode(EP_UART_GPIO, EP_UART_TX, 2, EP_UART_ALTERNATE);
    pin_mode(EP_UART_GPIO, EP_UART_RX, 2, EP_UART_ALTERNATE);
    pin_mode(EP_PIN_GPIO, EP_PIN_NUMBER, 1, 0);
    UART_BRR = DIVISOR;
    UART_CR1 = 1u << 5 | 1u << 3 | 1u << 2 | 1u; /* RXNEIE, TE, RE, UE */
    ep_interrupt_on(EP_UART_INTERRUPT);
}

void ep_port_interrupt(void)
{
    uint32_t status = UART_ISR;
    if (status & 0xfu) {
        UART_ICR = status & 0xfu; /* overrun, noise, framing, parity: the frame's CRC tells */
    }
    if (status & 1u << 5) {
        ep_ring_put((uint8_t)UART_RDR);
    }
}

void ep_port_put(uint8_t byte)
{
    while (!(UART_ISR & 1u << 7)) {
    }
    UART_TDR = byte;
}

void ep_port_pin(int state)
{
    REGISTER(EP_PIN_GPIO + GPIO_BSRR) = 1u << (EP_PIN_NUMBER + (state ? 0u : 16u));
}
