//! Reading ahead: threads read several things at once, and what is in them is taken in their order.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

use crate::Error;

/// How many threads read. What is read is decoded and decompressed, which takes about twice as long as handing it to whoever takes it.
const READERS: usize = 2;
/// How many pieces of what a thread reads wait to be taken.
const AHEAD: usize = 16;

/// Gives the pieces that reading something gives.
pub(crate) type Give<'g, T> = dyn FnMut(T) -> Result<(), Error> + 'g;

/// Has threads read these things, and gives their pieces in the order of the things. What fails is met in that order, too: all that comes
/// before it has been taken.
///
/// # Errors
/// The first that comes of reading or taking.
pub(crate) fn read_ahead<I: Copy + Sync, T: Send, E: From<Error>>(
    things: &[I],
    read: impl Fn(I, &mut Give<'_, T>) -> Result<(), Error> + Sync,
    take: &mut dyn FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let readers = READERS.min(things.len());
    std::thread::scope(|scope| {
        let mut pieces = Vec::with_capacity(readers);
        for first in 0..readers {
            let (send, receive) = sync_channel(AHEAD);
            let (read, thread) = (&read, Builder::new().name("flowc-reading".to_owned()));
            let every =
                move || things.iter().skip(first).step_by(readers).try_for_each(|&thing| tell(thing, read, &send));
            thread.spawn_scoped(scope, every).map_err(Error::system("start a thread"))?;
            pieces.push(receive);
        }
        let mut by_turns = pieces.iter().cycle().take(things.len());
        by_turns.try_for_each(|pieces| each(pieces, take))
    })
}

/// What a thread says: a piece, or that a thing is over.
type Said<T> = Result<Option<T>, Error>;

/// Tells all of a thing. None if nobody listens any more, or the thing can't be read.
fn tell<I, T>(
    thing: I,
    read: impl Fn(I, &mut Give<'_, T>) -> Result<(), Error>,
    to: &SyncSender<Said<T>>,
) -> Option<()> {
    let unwanted = |_| Error::internal("reading ahead")("nobody takes what is read");
    let end = match read(thing, &mut |piece| to.send(Ok(Some(piece))).map_err(unwanted)) {
        Ok(()) => Ok(None),
        Err(error) => Err(error),
    };
    let is_over = end.is_err();
    to.send(end).ok().filter(|()| !is_over)
}

/// Takes all pieces of a thing. If its thread panics there are no more, and the scope of the threads panics, too.
fn each<T, E: From<Error>>(from: &Receiver<Said<T>>, take: &mut dyn FnMut(T) -> Result<(), E>) -> Result<(), E> {
    while let Ok(said) = from.recv() {
        match said? {
            Some(piece) => take(piece)?,
            None => break,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Things are numbers: reading one gives its pieces, as many as it says, and 99 fails halfway.
    fn read(thing: (usize, usize), give: &mut Give<'_, (usize, usize)>) -> Result<(), Error> {
        let (name, pieces) = thing;
        (0..pieces).try_for_each(|piece| give((name, piece)))?;
        if name == 99 { Err(Error::Request("it is torn".to_owned())) } else { Ok(()) }
    }

    fn taken(things: &[(usize, usize)], most: usize) -> (Vec<(usize, usize)>, Result<(), Error>) {
        let mut all = Vec::new();
        let end = read_ahead(things, read, &mut |piece| {
            if all.len() == most {
                return Err(Error::Cancelled);
            }
            all.push(piece);
            Ok(())
        });
        (all, end)
    }

    fn expected(things: &[(usize, usize)]) -> Vec<(usize, usize)> {
        things.iter().flat_map(|&(name, pieces)| (0..pieces).map(move |piece| (name, piece))).collect()
    }

    #[test]
    fn pieces_come_in_order_whatever_things_there_are() {
        let cases: [&[(usize, usize)]; 6] = [
            &[],
            &[(0, 3)],
            &[(0, 0), (1, 0)],
            &[(0, 100), (1, 1), (2, 50)],
            &[(0, 1), (1, 100), (2, 0), (3, 7)],
            &[(0, 17); 9],
        ];
        for things in cases {
            let (all, end) = taken(things, usize::MAX);
            assert_eq!(all, expected(things));
            end.unwrap();
        }
    }

    #[test]
    fn what_fails_is_met_after_all_that_is_before_it() {
        let things = [(0, 40), (1, 40), (99, 2), (3, 40)];
        let (all, end) = taken(&things, usize::MAX);
        assert_eq!(all, expected(&things[..3]));
        assert!(matches!(end, Err(Error::Request(_))), "{end:?}");
    }

    #[test]
    fn nothing_is_read_for_nobody() {
        let (all, end) = taken(&[(0, 100), (1, 100), (2, 100)], 5);
        assert_eq!(all.len(), 5);
        assert!(matches!(end, Err(Error::Cancelled)), "{end:?}");
    }
}
