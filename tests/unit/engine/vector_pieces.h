/*
 * What random programs of vector instructions are made of: RSI, RDI and RBX point to data, RDI so
 * that accesses cross a page; four MXCSR stand at RBX + 100h.
 */
#ifndef UMBRA_TESTS_VECTOR_PIECES_H
#define UMBRA_TESTS_VECTOR_PIECES_H

#include <stdint.h>

struct piece {
    uint8_t weight, bytes;
    const char *code;
    const char *text;
};

#define PIECE(weight, code, text)                                                                  \
    {                                                                                              \
        weight, sizeof(code) - 1, code, text                                                       \
    }

static const struct piece pieces[] = {
    PIECE(6, "\x0f\x28\x0e", "movaps (rsi), xmm1"),
    PIECE(4, "\x0f\x10\x17", "movups (rdi), xmm2"),
    PIECE(4, "\x0f\x11\x1f", "movups xmm3, (rdi)"),
    PIECE(4, "\x0f\x29\x56\x20", "movaps xmm2, 32(rsi)"),
    PIECE(3, "\x66\x0f\x59\xd1", "mulpd xmm1, xmm2"),
    PIECE(3, "\x45\x0f\x58\xc8", "addps xmm8, xmm9"),
    PIECE(3, "\x45\x0f\x5e\xda", "divps xmm10, xmm11"),
    PIECE(3, "\xf2\x41\x0f\x51\xdb", "sqrtsd xmm11, xmm3"),
    PIECE(3, "\x45\x0f\x12\xe1", "movhlps xmm9, xmm12"),
    PIECE(3, "\xf2\x49\x0f\x2a\xe2", "cvtsi2sd r10, xmm4"),
    PIECE(3, "\xf2\x44\x0f\x2a\x2e", "cvtsi2sdl (rsi), xmm13"),
    PIECE(3, "\xf2\x4c\x0f\x2d\xdc", "cvtsd2si xmm4, r11"),
    PIECE(3, "\x44\x0f\x50\xfa", "movmskps xmm2, r15d"),
    PIECE(3, "\x66\x41\x0f\x7e\xef", "movd xmm5, r15d"),
    PIECE(3, "\x66\x49\x0f\x6e\xf3", "movq r11, xmm6"),
    PIECE(3, "\xc4\x42\x02\xf5\xd8", "pext r8d, r15d, r11d"),
    PIECE(3, "\x66\x41\x0f\xc4\xff\x02", "pinsrw $2, r15d, xmm7"),
    PIECE(3, "\x66\x0f\x3a\x61\xd1\x08", "pcmpestri $8, xmm1, xmm2"),
    PIECE(3, "\x66\x0f\x2e\xd1", "ucomisd xmm1, xmm2"),
    PIECE(3, "\x66\x44\x0f\x38\x17\xcb", "ptest xmm3, xmm9"),
    PIECE(3, "\x0f\x2f\x26", "comiss (rsi), xmm4"),
    PIECE(3, "\x66\x0f\x38\x14\xe3", "blendvps xmm0, xmm3, xmm4"),
    PIECE(3, "\xc5\xec\x58\xd9", "vaddps ymm1, ymm2, ymm3"),
    PIECE(3, "\xc5\x59\x59\x33", "vmulpd (rbx), xmm4, xmm14"),
    PIECE(4, "\xc5\x7e\x6f\x27", "vmovdqu (rdi), ymm12"),
    PIECE(4, "\xc5\x7e\x7f\x66\x40", "vmovdqu ymm12, 64(rsi)"),
    PIECE(4, "\xc5\x7c\x11\x0f", "vmovups ymm9, (rdi)"),
    PIECE(3, "\xc4\xc3\x7d\x19\xd9\x01", "vextractf128 $1, ymm3, xmm9"),
    PIECE(3, "\xc4\x63\x65\x18\x13\x01", "vinsertf128 $1, (rbx), ymm3, ymm10"),
    PIECE(3, "\xc4\xe3\xfd\x00\xca\x1b", "vpermq $0x1b, ymm2, ymm1"),
    PIECE(3, "\xc4\xe2\x9d\xb8\xd1", "vfmadd231pd ymm1, ymm12, ymm2"),
    PIECE(3, "\xc4\x63\x75\x4b\xc2\x30", "vblendvpd ymm3, ymm2, ymm1, ymm8"),
    PIECE(3, "\xc4\xe3\x7d\x1d\x0e\x04", "vcvtps2ph $4, ymm1, (rsi)"),
    PIECE(4, "\xc5\xf8\x77", "vzeroupper"),
    PIECE(1, "\xc5\xfc\x77", "vzeroall"),
    PIECE(3, "\x0f\xae\x93\x00\x01\x00\x00", "ldmxcsr 0x100(rbx)"),
    PIECE(2, "\x0f\xae\x93\x04\x01\x00\x00", "ldmxcsr 0x104(rbx)"),
    PIECE(2, "\x0f\xae\x93\x08\x01\x00\x00", "ldmxcsr 0x108(rbx)"),
    PIECE(1, "\x0f\xae\x93\x0c\x01\x00\x00", "ldmxcsr 0x10c(rbx)"),
    PIECE(3, "\x0f\xae\x9e\x80\x00\x00\x00", "stmxcsr 0x80(rsi)"),
    PIECE(4, "\x0f\x01\x3e", "invlpg (rsi)"),
    PIECE(4, "\x0f\x01\x3f", "invlpg (rdi)"),
    PIECE(3, "\xd9\xe8\xdd\x9e\x88\x00\x00\x00", "fld1; fstpl 0x88(rsi)"),
    PIECE(3, "\xf3\x0f\xd6\xc8\x0f\x77", "movq2dq mm0, xmm1; emms"),
    PIECE(3, "\xc4\x62\x75\x2c\x5e\x20", "vmaskmovps 0x20(rsi), ymm1, ymm11"),
    PIECE(3, "\x0f\xae\x86\x00\x04\x00\x00\x0f\xae\x8e\x00\x04\x00\x00",
          "fxsave 0x400(rsi); fxrstor 0x400(rsi)"),
    PIECE(3, "\x50\x5a", "push rax; pop rdx"),
    PIECE(4, "\x48\x8b\x06", "mov (rsi), rax"),
    PIECE(4, "\x48\x89\x07", "mov rax, (rdi)"),
    PIECE(3, "\x48\x83\xd0\x00", "adc $0, rax"),
    PIECE(3, "\x0f\x9a\xc2", "setp dl"),
    PIECE(3, "\x9c\x41\x59", "pushfq; pop r9"),
    PIECE(3, "\xc4\x42\xa0\xf2\xd7", "andn r15, r11, r10"),
    PIECE(3, "\xc4\x62\xa0\xf2\x16", "andn (rsi), r11, r10"),
    PIECE(3, "\xc4\x62\xa8\xf7\x1b", "bextr r10, (rbx), r11"),
    PIECE(3, "\xc4\xc2\xa8\xf3\xcf", "blsr r15, r10"),
    PIECE(3, "\xc4\x42\xa9\xf7\xfb", "shlx r10, r11, r15"),
    PIECE(3, "\xc4\x63\xfb\xf0\x16\x0d", "rorx $13, (rsi), r10"),
    PIECE(3, "\xc4\x42\xab\xf6\xd7", "mulx r15, r10, r10"),
    PIECE(3, "\xc4\x62\xa3\xf6\x16", "mulx (rsi), r11, r10"),
    PIECE(3, "\xc4\xc2\xa3\xf5\xc2", "pdep r10, r11, rax"),
    PIECE(3, "\xc4\x42\x02\xf5\xd8", "pext r8d, r15d, r11d"),
    PIECE(3, "\xf2\x4d\x0f\x38\xf1\xda", "crc32q r10, r11"),
    PIECE(3, "\xf2\x44\x0f\x38\xf0\xfe", "crc32b sil, r15d"),
    PIECE(3, "\xf2\x44\x0f\x38\xf0\x16", "crc32b (rsi), r10d"),
    PIECE(3, "\x4c\x0f\x38\xf0\x17", "movbe (rdi), r10"),
    PIECE(3, "\x66\x44\x0f\x38\xf1\x1e", "movbe r11w, (rsi)"),
    PIECE(3, "\x66\x44\x0f\x38\xf0\x3e", "movbe (rsi), r15w"),
    PIECE(3, "\x66\x4d\x0f\x38\xf6\xda", "adcx r10, r11"),
    PIECE(3, "\xf3\x4c\x0f\x38\xf6\x3e", "adox (rsi), r15"),
    PIECE(8, "\xeb\x00", "jmp .+2"),
    PIECE(1, "\x0f\x28\x4e\x08", "movaps 8(rsi), xmm1"),
    PIECE(1, "\xc5\xfd\x6f\x4e\x10", "vmovdqa 16(rsi), ymm1"),
    PIECE(1, "\x0f\x28\x0c\x25\x00\x00\xf0\x7f", "movaps 0x7ff00000, xmm1"),
    PIECE(2, "\x41\x0f\x20\xc0\x49\x0f\xba\xe8\x03\x41\x0f\x22\xc0",
          "mov cr0, r8; bts $3, r8; mov r8, cr0"),
    PIECE(2, "\x41\x0f\x20\xe0\x49\x0f\xba\xf0\x12\x41\x0f\x22\xe0",
          "mov cr4, r8; btr $18, r8; mov r8, cr4"),
    PIECE(2, "\x41\x0f\x20\xe0\x49\x0f\xba\xf0\x09\x41\x0f\x22\xe0",
          "mov cr4, r8; btr $9, r8; mov r8, cr4"),
    PIECE(6, "\x4d\x01\xd3", "add r10, r11"),
    PIECE(4, "\x31\xd2", "xor edx, edx"),
    PIECE(4, "\xe4\x80", "in $0x80, al"),
};

#endif
