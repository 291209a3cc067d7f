/* SPDX-License-Identifier: MIT */
/* Paused classes: see the header. */
#include "front/pause.h"

void hak_pause_begin(struct hak_front *front)
{
    front->watches = 0;
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        front->paused_calls[class_id] = 0;
}

void hak_pause_class(struct hak_front *front, unsigned class_id)
{
    struct hak_chain waiting = front->loaded[class_id];
    front->loaded[class_id] = (struct hak_chain){HAK_FRONT_PAUSED};
    __atomic_signal_fence(__ATOMIC_RELEASE); /* as in hak_front_pop_spare */
    if (hak_chain_is_empty(waiting))
        return;
    front->spare[class_id] = waiting;
    front->spare_bytes += hak_magazine_bytes(class_id);
}

bool hak_pause_goes_on(struct hak_front *front, unsigned class_id)
{
    unsigned calls = ++front->paused_calls[class_id];
    front->unchanged[class_id] = 0;
    if (calls == 1)
        front->watches++;
    return calls <= HAK_PAUSE_CALLS || (front->watches == 1 && calls <= HAK_PAUSE_CALLS_OF_LAST);
}

void hak_pause_end(struct hak_front *front, unsigned class_id)
{
    struct hak_chain waiting = front->spare[class_id];
    if (front->paused_calls[class_id] != 0)
        front->watches--;
    front->spare[class_id] = hak_magazine_empty(class_id);
    __atomic_signal_fence(__ATOMIC_RELEASE); /* as above */
    front->loaded[class_id] = waiting;
    if (!hak_chain_is_empty(waiting))
        front->spare_bytes -= hak_magazine_bytes(class_id);
}

bool hak_pause_ends_beside(struct hak_front *front, unsigned class_id)
{
    if (front == NULL || !hak_front_is_paused(front, class_id))
        return false;
    hak_pause_end(front, class_id);
    return true;
}
