/* How many shadow pages a VM may have. */
#ifndef UMBRA_MMU_SHADOW_CONFIG_H
#define UMBRA_MMU_SHADOW_CONFIG_H

#define SHADOW_PAGES_DEFAULT 16384 /* 64 MiB of shadow pages */
#define SHADOW_PAGES_MAX     (1 << 22)
#define SHADOW_PAGES_MIN     16 /* two walks of five levels, and room */

/*
 * Entries that map one frame, or name one page, at a time. Write protection and freeing go through
 * such a list in one go, which must not take long however a guest builds its tables; real ones map
 * a frame a few times, and the page of zeroes some thousand times.
 */
#define SHADOW_LIST_MAX 8192

#endif
