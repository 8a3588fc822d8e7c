/* How many shadow pages a VM may have. */
#ifndef UMBRA_MMU_SHADOW_CONFIG_H
#define UMBRA_MMU_SHADOW_CONFIG_H

#define SHADOW_PAGES_DEFAULT 16384 /* 64 MiB of shadow pages */
#define SHADOW_PAGES_MAX     (1 << 22)
#define SHADOW_PAGES_MIN     16 /* two walks of five levels, and room */

#endif
