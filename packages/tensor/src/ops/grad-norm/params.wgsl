// What a dispatch for one tensor gets: its elements, and the place of its first sum in `partial`.
struct Params { count: u32, partial_at: u32 }
