//! What stands beside the offsets of a list. The safe client takes for granted that it is UTF-8, and panics where another tool wrote something else.

use rdkafka::topic_partition_list::TopicPartitionList;
use std::slice;

/// The metadata of each entry of `list`, in order; empty where there is none, or no UTF-8.
pub(crate) fn metadata(list: &TopicPartitionList) -> Vec<String> {
    if list.count() == 0 {
        return Vec::new();
    }
    // SAFETY: the list is alive and has `count` entries. Each entry's metadata is null, or as long as its size says; it belongs to the list,
    // which nobody changes while it is borrowed here, and is copied.
    let entries = unsafe { slice::from_raw_parts((*list.ptr()).elems, list.count()) };
    let text = |entry: &rdkafka::bindings::rd_kafka_topic_partition_t| {
        if entry.metadata.is_null() || entry.metadata_size == 0 {
            return String::new();
        }
        // SAFETY: see above.
        let bytes =
            unsafe { slice::from_raw_parts(entry.metadata.cast::<u8>(), entry.metadata_size) };
        std::str::from_utf8(bytes).unwrap_or_default().to_owned()
    };
    entries.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::topic_partition_list::Offset;

    #[test]
    fn it_is_read_whatever_it_holds() {
        let mut list = TopicPartitionList::new();
        assert!(metadata(&list).is_empty());
        for partition in 0..3 {
            list.add_partition_offset("t", partition, Offset::Offset(1))
                .expect("an offset");
        }
        list.find_partition("t", 1)
            .expect("it was added")
            .set_metadata("{\"at\":7}");
        list.find_partition("t", 2)
            .expect("it was added")
            .set_metadata("ab");
        // As it may come from the wire. SAFETY: the third entry's metadata are the two bytes that were set.
        unsafe { *(*(*list.ptr()).elems.add(2)).metadata.cast::<u8>() = 0xff };
        assert_eq!(metadata(&list), ["", "{\"at\":7}", ""]);
    }
}
