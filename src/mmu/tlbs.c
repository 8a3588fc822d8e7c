/* A list of TLBs; each function tells all of them one thing. */
#include "mmu/tlbs.h"

void tlbs_add(struct mmu_tlbs *tlbs, struct mmu_tlb *tlb)
{
    tlb->next = tlbs->first;
    tlbs->first = tlb;
}

void tlbs_remove(struct mmu_tlbs *tlbs, struct mmu_tlb *tlb)
{
    for (struct mmu_tlb **link = &tlbs->first; *link; link = &(*link)->next) {
        if (*link == tlb) {
            *link = tlb->next;
            return;
        }
    }
}

void tlbs_flush(const struct mmu_tlbs *tlbs)
{
    for (struct mmu_tlb *tlb = tlbs->first; tlb; tlb = tlb->next)
        tlb->flush(tlb->opaque);
}

void tlbs_write_protect(const struct mmu_tlbs *tlbs, gpa_t page)
{
    for (struct mmu_tlb *tlb = tlbs->first; tlb; tlb = tlb->next)
        tlb->write_protect(tlb->opaque, page);
}

void tlbs_slots_changed(const struct mmu_tlbs *tlbs)
{
    tlbs_flush(tlbs);
    for (struct mmu_tlb *tlb = tlbs->first; tlb; tlb = tlb->next) {
        if (tlb->slots_changed)
            tlb->slots_changed(tlb->opaque);
    }
}

void tlbs_dirty_log(const struct mmu_tlbs *tlbs, gpa_t base, bool on)
{
    for (struct mmu_tlb *tlb = tlbs->first; tlb; tlb = tlb->next) {
        if (tlb->dirty_log)
            tlb->dirty_log(tlb->opaque, base, on);
    }
}

void tlbs_dirty_sync(const struct mmu_tlbs *tlbs, gpa_t base)
{
    for (struct mmu_tlb *tlb = tlbs->first; tlb; tlb = tlb->next) {
        if (tlb->dirty_sync)
            tlb->dirty_sync(tlb->opaque, base);
    }
}
