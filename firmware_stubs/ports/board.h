/* The hooks that are the same on every board with a cycle counter and no watchdog. Included once, by the port. */
uint64_t ep_port_clock(void)
{
    return ep_cycles();
}

uint8_t ep_port_counter_unit(void)
{
    return EP_UNIT_CYCLES;
}

uint32_t ep_port_counter_hz(void)
{
    return EP_CLOCK_HZ;
}

uint8_t ep_port_basis(void)
{
    return EP_BASIS_MEASURED;
}

const char *ep_port_board(void)
{
    return EP_BOARD;
}

int ep_port_get(uint8_t *byte)
{
    return ep_ring_get(byte);
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
    ep_sizes(sizes);
}

const uint8_t *ep_port_preloaded(uint32_t index, uint32_t *size)
{
    (void)index;
    *size = 0;
    return 0;
}

void ep_port_bye(void)
{
}
