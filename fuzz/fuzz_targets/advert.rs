//! Advertisements: whatever a child sends, an accepted one is the same after being sent on, and a
//! parent that hears it keeps its books in order and forgets all of it when it is withdrawn.

#![no_main]

use engine::base::id::ChildId;
use engine::base::limits::ControlLimits;
use engine::base::prng::Prng;
use engine::base::time::Wall;
use engine::config::fixed_from_file;
use engine::uplink::advert::{decode, encode};
use engine::view::compile::Compiler;
use engine::view::stats::Stats;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

const PARENT: &str = "
entryPoints: {web: {address: ':80'}}
hub:
  providers:
    multicluster:
      children:
        a: {address: 'http://10.0.0.1:9443'}
        b-a: {address: 'http://10.0.0.2:9443'}
";

fuzz_target!(|data: &[u8]| {
    let Ok(decoded) = decode(data) else { return };
    let again = decode(&encode(&decoded.adverts)).expect("what was accepted can be sent on");
    assert_eq!(again.adverts, decoded.adverts);
    assert_eq!(again.notes, Vec::<String>::new());

    let (fixed, problems) = fixed_from_file("parent.yml", PARENT);
    assert!(problems.is_empty());
    let stats = Arc::new(Stats::new(1, 1, Wall::default()));
    let (limits, mut prng) = (ControlLimits::default(), Prng::new(1));
    let mut compiler = Compiler::new(Arc::new(fixed), limits, stats, &mut prng);
    let own = compiler.build().expect("the first view").view.services.iter().count();
    compiler.set_adverts(ChildId(0), decoded.adverts.clone());
    compiler.set_adverts(ChildId(1), decoded.adverts);
    let _ = compiler.build();
    compiler.check();
    compiler.set_adverts(ChildId(0), Vec::new());
    let _ = compiler.build();
    compiler.check();
    compiler.set_adverts(ChildId(1), Vec::new());
    let _ = compiler.build();
    compiler.check();
    assert_eq!(compiler.view().services.iter().count(), own);
});
