/* Sections of the agent on any Cortex-M; the port's config.mk says where flash and RAM are. Run through the C preprocessor.
 * The engine stands apart in code and in RAM, so that its size is told without the protocol's. */
MEMORY
{
    FLASH (rx) : ORIGIN = EP_FLASH, LENGTH = EP_FLASH_BYTES
    RAM (rwx) : ORIGIN = EP_RAM, LENGTH = EP_RAM_BYTES
}
ENTRY(ep_reset)
SECTIONS
{
    .text : {
        ep_text = .;
        KEEP(*(.vectors))
        ep_engine_text = .;
        *engine_*.o(.text .text.* .rodata .rodata.*)
        . = ALIGN(4);
        ep_engine_text_end = .;
        *wire_*.o(.text .text.* .rodata .rodata.*)
        *(.text .text.* .rodata .rodata.*)
        . = ALIGN(4);
        ep_text_end = .;
    } > FLASH
    .data : {
        ep_data = .;
        *(.data .data.*)
        . = ALIGN(4);
        ep_data_end = .;
    } > RAM AT > FLASH
    ep_data_load = LOADADDR(.data);
    .bss (NOLOAD) : {
        ep_bss = .;
        ep_engine_bss = .;
        *engine_*.o(.bss .bss.* COMMON)
        . = ALIGN(4);
        ep_engine_bss_end = .;
        *(.bss .bss.* COMMON)
        . = ALIGN(8);
        ep_bss_end = .;
    } > RAM
    .stack (NOLOAD) : {
        . = ALIGN(8);
        ep_stack_low = .;
        . = . + EP_STACK_BYTES;
        ep_stack_top = .;
        . = ALIGN(16);
        ep_ram_free = .;
    } > RAM
    ep_ram_end = ORIGIN(RAM) + LENGTH(RAM);
    /DISCARD/ : { *(.ARM.exidx* .ARM.extab* .ARM.attributes.* .comment .note* .eh_frame*) }
}
